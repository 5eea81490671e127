//! SMS as octets (3GPP TS 23.040): what is read can be written and is read again as the same; what is written for a
//! text says that text.

#![no_main]

use std::path::Path;
use std::time::Duration;

use fuzz::{begin, is_control, with_options};
use libfuzzer_sys::fuzz_target;
use modem::pdu::{self, AlphabetChoice, MAX_PARTS, Number, SubmitOptions, USER_DATA_SEPTETS_MAX, Unit};

/// Octets of the longest SMS-SUBMIT: 164 of TS 23.040 9.2.2.2 and the longest address.
const SUBMIT_MAX: usize = 164 + 10;
/// A character of the GSM alphabet is at most three bytes of UTF-8.
const TEXT_MAX: usize = 3 * USER_DATA_SEPTETS_MAX;

/// The planted fault: whoever forgets the last octet.
fn written(unit: &Unit) -> Vec<u8> {
    let mut octets = unit.encode();
    if is_control() {
        octets.pop();
    }
    octets
}

fn check_octets(octets: &[u8], has_smsc: bool) {
    let message = pdu::decode(octets, has_smsc);
    let Ok((smsc, unit)) = pdu::decode_unit(octets, has_smsc) else { return assert!(message.is_err()) };
    let message = message.expect("field by field it was read");
    let octets = written(&unit);
    assert!(octets.len() <= SUBMIT_MAX + 12, "{} octets", octets.len());
    let (none, again) = pdu::decode_unit(&octets, false).expect("what was read can be written");
    assert_eq!((none, &again), (None, &unit));
    assert_eq!(again.encode(), octets, "another spelling");
    let again = pdu::decode(&octets, false).expect("read before");
    assert_eq!(again.text, message.text);
    assert_eq!((again.number, again.concat), (message.number, message.concat));
    assert_eq!(message.smsc, smsc.and_then(|smsc| smsc.text()));
    assert!(message.text.is_none_or(|text| text.len() <= TEXT_MAX));
    if let Some(concat) = message.concat {
        assert!((1..=concat.parts).contains(&concat.part), "{concat:?}");
    }
    let hex: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    assert_eq!(pdu::octets_of_hex(&hex).as_deref(), Ok(octets.as_slice()));
}

fn check_text(options: u8, text: &str) {
    let number = Number::parse("+41791234567").expect("a number");
    let alphabet = match options >> 2 & 3 {
        0 => AlphabetChoice::Gsm7,
        1 => AlphabetChoice::Ucs2,
        _ => AlphabetChoice::Auto,
    };
    let validity = (options & 0x10 != 0).then(|| Duration::from_secs(u64::from(options) * 1_000));
    let options =
        SubmitOptions { class0: options & 0x20 != 0, validity, report: true, alphabet, reference: 9 };
    let Ok(parts) = pdu::submit(&number, text, &options) else { return };
    assert!((1..=MAX_PARTS).contains(&parts.len()));
    let mut whole = String::new();
    for (index, part) in parts.iter().enumerate() {
        let message = pdu::decode(&part.bytes, false).expect("our own PDU");
        assert!(part.bytes.len() <= SUBMIT_MAX, "{} octets", part.bytes.len());
        assert_eq!(message.number.as_deref(), Some("+41791234567"));
        assert_eq!(message.concat.map(|c| usize::from(c.part)), (parts.len() > 1).then_some(index + 1));
        whole.push_str(message.text.as_deref().unwrap_or_default());
    }
    assert_eq!(whole, text, "another text goes out");
}

fn check_number(text: &str) {
    if let Ok(number) = Number::parse(text) {
        assert_eq!(number.as_str(), text);
        assert!(text.bytes().skip(usize::from(text.starts_with('+'))).all(|byte| byte.is_ascii_digit()));
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../modem/tests/data/pdu_vectors.jsonl");
    let vectors = std::fs::read_to_string(vectors).expect("the vectors of the modem's tests");
    let octets = vectors.lines().filter_map(|line| {
        let vector: serde_json::Value = serde_json::from_str(line).ok()?;
        let has_smsc = vector["has_smsc"].as_bool()?;
        Some(with_options(u8::from(has_smsc), &pdu::octets_of_hex(vector["pdu"].as_str()?).ok()?))
    });
    let long = "Zkouška €[]{} ".repeat(30);
    let texts = ["123456", "Your code is 123456", "+41791234567", "я😀", long.as_str()];
    octets.chain(texts.iter().map(|text| with_options(0x1a, text.as_bytes()))).collect()
}

fuzz_target!(init: begin(seeds), |data: &[u8]| {
    let Some((&options, octets)) = data.split_first() else { return };
    match options & 3 {
        0 | 1 => check_octets(octets, options & 1 == 1),
        _ => {
            let text = String::from_utf8_lossy(octets);
            check_text(options, &text);
            check_number(&text);
        }
    }
});
