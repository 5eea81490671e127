//! What holds for every text and every octet string.

use std::time::Duration;

use modem::pdu::{self, AlphabetChoice, Number, PduError, SubmitOptions};
use proptest::prelude::*;

fn number() -> Number {
    Number::parse("+41791234567").expect("a number")
}

fn options(alphabet: AlphabetChoice) -> SubmitOptions {
    SubmitOptions { alphabet, reference: 77, ..SubmitOptions::default() }
}

fn joined(text: &str, alphabet: AlphabetChoice) -> (usize, String) {
    let parts = pdu::submit(&number(), text, &options(alphabet)).expect("encodable");
    let mut whole = String::new();
    for (index, part) in parts.iter().enumerate() {
        let message = pdu::decode(&part.bytes, false).expect("our own PDU");
        assert!(part.bytes.len() <= 164, "{} octets", part.bytes.len());
        assert_eq!(message.number.as_deref(), Some("+41791234567"));
        assert_eq!(message.concat.map(|c| usize::from(c.part)), (parts.len() > 1).then_some(index + 1));
        assert_eq!(message.text.as_deref(), Some(part.text.as_str()));
        whole.push_str(&part.text);
    }
    (parts.len(), whole)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_octets_panic(octets in prop::collection::vec(any::<u8>(), 0..200), has_smsc: bool) {
        if let Ok((_, unit)) = pdu::decode_unit(&octets, has_smsc) {
            let again = pdu::decode_unit(&unit.encode(), false).expect("what was built parses back").1;
            prop_assert_eq!(again, unit);
        }
    }

    #[test]
    fn no_mutation_of_a_real_pdu_panics(at in 0usize..60, octet: u8, cut in 0usize..80) {
        let mut octets = pdu::octets_of_hex(
            "07912160130320F5440B916171056429F5000021405291650569A00500034C0201A9E8F41C949E83C2207B599E07B1",
        ).expect("hex");
        let index = at % octets.len();
        octets[index] = octet;
        octets.truncate(cut);
        let _ = pdu::decode(&octets, true);
    }

    #[test]
    fn any_text_round_trips(text in "\\PC{0,400}") {
        prop_assert_eq!(joined(&text, AlphabetChoice::Auto).1, text.clone());
        prop_assert_eq!(joined(&text, AlphabetChoice::Ucs2).1, text);
    }

    #[test]
    fn gsm_text_round_trips(text in "[a-zA-Z0-9@£$¥èéùìòÇØøÅåΔ_ΦΓΛΩ€{}\\[\\]~|^ \n]{0,700}") {
        prop_assert_eq!(joined(&text, AlphabetChoice::Gsm7).1, text);
    }

    #[test]
    fn validity_never_exceeds_the_deadline(seconds in 300u64..40_000_000) {
        let octet = match pdu::Validity::at_most(Duration::from_secs(seconds)) {
            pdu::Validity::Relative(octet) => octet,
            other => panic!("{other:?}"),
        };
        prop_assert!(pdu::relative_period(octet) <= Duration::from_secs(seconds));
    }
}

#[test]
fn parts_begin_where_the_standard_says() {
    for (text, alphabet, lengths) in [
        ("x".repeat(160), AlphabetChoice::Auto, vec![160]),
        ("x".repeat(161), AlphabetChoice::Auto, vec![153, 8]),
        ("x".repeat(152) + "€" + &"y".repeat(10), AlphabetChoice::Auto, vec![152, 11]),
        ("x".repeat(158) + "€", AlphabetChoice::Auto, vec![159]),
        ("я".repeat(70), AlphabetChoice::Auto, vec![70]),
        ("я".repeat(71), AlphabetChoice::Auto, vec![67, 4]),
        ("я".repeat(66) + "😀" + &"ю".repeat(10), AlphabetChoice::Auto, vec![66, 11]),
        ("x".repeat(71), AlphabetChoice::Ucs2, vec![67, 4]),
        (String::new(), AlphabetChoice::Auto, vec![0]),
    ] {
        let parts = pdu::submit(&number(), &text, &options(alphabet)).expect("encodable");
        let got: Vec<usize> = parts.iter().map(|part| part.text.chars().count()).collect();
        assert_eq!(got, lengths, "{text}");
    }
}

#[test]
fn nothing_is_dropped_silently() {
    let gsm7 = pdu::submit(&number(), "Zkouška", &options(AlphabetChoice::Gsm7));
    assert_eq!(gsm7, Err(PduError::Unencodable { character: 'š' }));
    let long = "x".repeat(153 * pdu::MAX_PARTS + 1);
    let too_long = pdu::submit(&number(), &long, &options(AlphabetChoice::Auto));
    assert_eq!(too_long, Err(PduError::TooLong { parts: pdu::MAX_PARTS + 1, limit: pdu::MAX_PARTS }));
}
