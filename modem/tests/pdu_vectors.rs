//! Foreign PDUs: what other programs and real phones wrote, with the meaning they gave it.
//!
//! `expect` says what is asked: `encode` = our octets equal; `encode-independent` = the same meaning from
//! our own encoder; `decode` = fields equal; `error` = refused; `bad-example` = anything but a panic.

#![expect(clippy::expect_fun_call, reason = "the id names the vector that failed, and costs nothing")]

use modem::pdu::{
    self, Address, Alphabet, AlphabetChoice, Body, Concat, Deliver, Element, Number, Submit, SubmitOptions,
    Unit, UserData, gsm7,
};
use serde_json::Value;

fn vectors(expect: &str) -> Vec<Value> {
    let all = include_str!("data/pdu_vectors.jsonl").lines();
    let all = all.map(|line| serde_json::from_str::<Value>(line).expect("a JSON line"));
    let chosen: Vec<Value> = all.filter(|vector| vector["expect"] == expect).collect();
    assert!(!chosen.is_empty(), "no vector expects {expect}");
    chosen
}

fn id(vector: &Value) -> &str {
    vector["id"].as_str().expect("id")
}

fn octets(vector: &Value, field: &str) -> Vec<u8> {
    pdu::octets_of_hex(vector[field].as_str().expect("hex")).expect("hex")
}

fn has_smsc(vector: &Value) -> bool {
    vector["has_smsc"].as_bool().expect("has_smsc")
}

fn without_plus(number: Option<&str>) -> String {
    number.unwrap_or_default().trim_start_matches('+').to_owned()
}

/// Fields that mean the same in every vector, whoever wrote it.
fn check_fields(vector: &Value) {
    let message = pdu::decode(&octets(vector, "pdu"), has_smsc(vector)).expect(id(vector));
    let expected_number = vector["number"].as_str();
    assert_eq!(without_plus(message.number.as_deref()), without_plus(expected_number), "{}", id(vector));
    if let (None, Some(text)) = (vector.get("nli"), vector["text"].as_str())
        && vector["dcs"] != 4
    {
        assert_eq!(message.text.as_deref(), Some(text), "{}", id(vector));
    }
    if let Some(udh) = vector["udh"].as_object() {
        let concat = message.concat.expect(id(vector));
        assert_eq!(udh["ref"], concat.reference, "{}", id(vector));
        assert_eq!(udh["parts"], concat.parts, "{}", id(vector));
        assert_eq!(udh["part"], concat.part, "{}", id(vector));
    }
    for (field, got) in [("mr", message.message_reference), ("st", message.status)] {
        if let Some(expected) = vector.get(field).and_then(Value::as_u64) {
            assert_eq!(got.map(u64::from), Some(expected), "{} {field}", id(vector));
        }
    }
    if let Some(smsc) = vector.get("expect_smsc").and_then(Value::as_str) {
        assert_eq!(message.smsc.as_deref(), Some(smsc), "{}", id(vector));
    }
    if let Some(at) = vector.get("expect_ts").and_then(Value::as_str) {
        let at = at.replace('Z', "+00");
        assert_eq!(message.timestamp, Some(format!("{at}:00")), "{}", id(vector));
    }
    assert_eq!(
        message.report,
        vector["srr"] == "1" || message.report && vector["srr"].is_null(),
        "{}",
        id(vector)
    );
}

#[test]
fn decodes_what_others_wrote() {
    for expect in ["decode", "encode", "encode-independent"] {
        for vector in vectors(expect) {
            check_fields(&vector);
        }
    }
}

#[test]
fn refuses_what_is_no_pdu() {
    for vector in vectors("error") {
        let result = pdu::decode(&octets(&vector, "pdu"), has_smsc(&vector));
        assert!(result.is_err(), "{}: {result:?}", id(&vector));
    }
}

#[test]
fn bad_examples_do_not_panic() {
    for vector in vectors("bad-example") {
        let _ = pdu::decode(&octets(&vector, "pdu"), has_smsc(&vector));
    }
}

/// The vector's number and text through our address, alphabet and header coders; the rest as given.
#[test]
fn encodes_the_same_octets() {
    for vector in vectors("encode") {
        let (_, given) = pdu::decode_unit(&octets(&vector, "pdu"), has_smsc(&vector)).expect(id(&vector));
        let number = Number::parse(vector["number"].as_str().expect("number")).expect(id(&vector));
        let text = vector["text"].as_str().expect("text");
        let unit = match given {
            Unit::Submit(submit) => Unit::Submit(Submit {
                destination: Address::from(&number),
                user_data: user_data(&vector, submit.dcs.alphabet(), text),
                ..submit
            }),
            Unit::Deliver(deliver) => Unit::Deliver(Deliver {
                originator: Address::from(&number),
                user_data: user_data(&vector, deliver.dcs.alphabet(), text),
                ..deliver
            }),
            Unit::StatusReport(_) => panic!("{} is a status report", id(&vector)),
        };
        let ours = data_encoding::HEXUPPER.encode(&unit.encode());
        assert_eq!(ours, vector["tpdu"].as_str().expect("tpdu").to_uppercase(), "{}", id(&vector));
    }
}

fn user_data(vector: &Value, alphabet: Alphabet, text: &str) -> UserData {
    let small = |value: &Value| u8::try_from(value.as_u64().expect("a number")).expect("8 bits");
    let header = vector["udh"]
        .as_object()
        .map(|udh| Concat::element(small(&udh["ref"]), small(&udh["part"]), small(&udh["parts"])));
    let body = match alphabet {
        Alphabet::Gsm7 => Body::Septets(gsm7::encode(text).expect("in the alphabet")),
        Alphabet::Data8 => Body::Octets(text.as_bytes().to_vec()),
        Alphabet::Ucs2 => Body::Octets(text.encode_utf16().flat_map(u16::to_be_bytes).collect()),
    };
    UserData::new(header.into_iter().collect(), body).expect("fits")
}

#[test]
fn our_own_encoder_means_the_same() {
    for vector in vectors("encode-independent") {
        let theirs = pdu::decode(&octets(&vector, "pdu"), has_smsc(&vector)).expect(id(&vector));
        let whole = vector.get("whole_text").unwrap_or(&vector["text"]).as_str().expect("text");
        let reference = theirs.concat.map_or(0, |c| u8::try_from(c.reference).expect("8 bits"));
        let number = Number::parse(vector["number"].as_str().expect("number")).expect(id(&vector));
        let options = SubmitOptions {
            class0: theirs.class == Some(0),
            validity: None,
            report: theirs.report,
            alphabet: AlphabetChoice::Auto,
            reference,
        };
        let parts = pdu::submit(&number, whole, &options).expect(id(&vector));
        let index = theirs.concat.map_or(0, |concat| usize::from(concat.part) - 1);
        let mut ours = pdu::decode(&parts[index].bytes, false).expect(id(&vector));
        ours.message_reference = theirs.message_reference;
        ours.smsc.clone_from(&theirs.smsc);
        assert_eq!(ours, theirs, "{}", id(&vector));
        assert_eq!(parts[index].text, theirs.text.unwrap_or_default(), "{}", id(&vector));
    }
}

/// These texts need a national table that their PDU does not name; here a header names it.
#[test]
fn national_tables_by_header() {
    let mut seen = 0;
    for vector in vectors("decode").iter().filter(|vector| vector.get("nli").is_some()) {
        let Ok((_, Unit::Submit(submit))) = pdu::decode_unit(&octets(vector, "pdu"), true) else {
            panic!("{} is no SMS-SUBMIT", id(vector));
        };
        let (single, locking) = match vector["nli"].as_str().expect("nli") {
            "turkey" => (1, 1),
            "spain" => (2, 0),
            "portugal" | "portugal_ext" => (3, 3),
            other => panic!("table {other}"),
        };
        let header =
            vec![Element { id: 0x24, data: vec![single] }, Element { id: 0x25, data: vec![locking] }];
        let data = UserData::new(header, submit.user_data.body().clone()).expect("fits");
        assert_eq!(data.text(submit.dcs).as_deref(), vector["text"].as_str(), "{}", id(vector));
        seen += 1;
    }
    assert_eq!(seen, 4);
}
