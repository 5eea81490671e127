//! What `/v1/provisioning` does with bodies that no station sends: a problem that names the field, and nothing stored
//! or lost. A34, T16.

use data_encoding::HEXLOWER;
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};
use tests::technician::{BRISK, Bench};
use tests::token::EmulatedToken;
use tests::wire::{Wire, info};
use tests::{Answer, Client};
use token::link::{Challenge, Envelope, Octets, Start, Suite, encode};

const EXCHANGES: &str = "/v1/provisioning/exchanges";
const ATTEST: &str = "/v1/provisioning/attest";
/// Version and sequence number 0, before the body of a message.
const HEADER: usize = 2;
/// The longest body that is read, in bytes.
const BODY_MAX: usize = 16 * 1024;
/// Changes of one bit that are tried in each message.
const FLIPS: usize = 48;

fn hex<T: serde::Serialize>(message: &T) -> String {
    HEXLOWER.encode(&encode(&Envelope { sequence: 0, body: message })[HEADER..])
}

/// A station's question to the appliance, with the line on which the token waits for the grant.
fn begun(bench: &Bench, token: &EmulatedToken) -> (Value, Wire) {
    let told = info(&token.port);
    let key = bench.rig.admin().get("/v1/provisioning/host-key").expect(200).json();
    let key = HEXLOWER.decode(key["key"].as_str().expect("hex").as_bytes()).expect("hex");
    let start = Start {
        slot: 0,
        suite: Suite::CbcData,
        host_nonce: Octets([7; 16]),
        host_key: Octets(key.try_into().expect("a point")),
    };
    let mut line = Wire::open(&token.port);
    let challenge: Challenge = line.call(start.clone()).expect("a challenge");
    let asked =
        json!({"info": hex(&told), "start": hex(&start), "challenge": hex(&challenge), "type": "hotp"});
    (asked, line)
}

fn rows(bench: &Bench) -> (i64, i64) {
    let file = bench.rig.state.join("countersign.db");
    let store = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the store");
    let count = |table: &str| {
        let sql = format!("SELECT count(*) FROM {table}");
        store.query_row(&sql, [], |row| row.get(0)).expect("a count")
    };
    (count("device"), count("token"))
}

fn malformed(answer: &Answer, what: &str) {
    assert!([400, 413].contains(&answer.status), "{what}: {} {}", answer.status, answer.text());
    assert!(!answer.code().is_empty(), "{what}: a problem: {}", answer.text());
}

/// Values that are no hex of a message, whatever the message was.
fn not_messages(text: &str) -> Vec<Value> {
    let longer = format!("{text}00");
    let texts = ["", "0", "zz", "0x00", &text[..text.len() - 1], &text[..text.len() - 2], &longer, " "];
    let long = "00".repeat(BODY_MAX / 2 + 1);
    let others = [Value::Null, json!(7), json!([text]), json!({"hex": text}), json!(true), json!(long)];
    texts.into_iter().map(Value::from).chain(others).collect()
}

fn bodies(client: &mut Client, valid: &Value, path: &str, fields: &[&str]) {
    for field in fields {
        for value in not_messages(valid[field].as_str().expect("hex")) {
            let mut body = valid.clone();
            body[*field] = value;
            malformed(&client.post(path, &body), &format!("{path} {field}"));
        }
        let mut without = valid.clone();
        without.as_object_mut().expect("an object").remove(*field);
        malformed(&client.post(path, &without), &format!("{path} without {field}"));
        let twice = format!("{{\"{field}\": {}, {}", valid[field], &valid.to_string()[1..]);
        let answer = client.send("POST", path, Some(twice.as_bytes())).expect("an answer");
        malformed(&answer, &format!("{path} {field} twice"));
    }
    let whole = valid.to_string();
    let nested = "[".repeat(10_000);
    for raw in ["", "{", "null", "[]", &whole[..whole.len() - 1], &format!("{whole}{{}}"), &nested] {
        let answer = client.send("POST", path, Some(raw.as_bytes())).expect("an answer");
        malformed(&answer, &format!("{path} {}", &raw[..raw.len().min(16)]));
    }
}

/// Every field malformed, missing, twice and oversized; then the same exchange succeeds.
///
/// Red when a malformed field becomes a default, or ends an exchange that is under way.
#[test]
fn malformed_bodies_are_problems_and_store_nothing() {
    let bench = Bench::start();
    let token = bench.token_with("one", "CST-000001", &BRISK);
    let (valid, mut line) = begun(&bench, &token);
    let mut client = bench.rig.admin();
    bodies(&mut client, &json!({"info": valid["info"]}), ATTEST, &["info"]);
    bodies(&mut client, &valid, EXCHANGES, &["info", "start", "challenge", "type"]);
    for (field, value) in [
        ("digits", json!(5)),
        ("digits", json!(11)),
        ("digits", json!(-1)),
        ("digits", json!(256)),
        ("digits", json!("6")),
        ("digits", json!(6.5)),
        ("algorithm", json!("MD5")),
        ("algorithm", json!("")),
        ("counter", json!(-1)),
        ("counter", json!(u64::MAX)),
        ("period", json!(0)),
        ("batch", json!("")),
        ("batch", json!("two\nlines")),
        ("batch", json!("x".repeat(129))),
        ("secret", json!("00")),
    ] {
        let mut body = valid.clone();
        body[field] = value.clone();
        malformed(&client.post(EXCHANGES, &body), &format!("{field} {value}"));
    }
    assert_eq!(rows(&bench), (0, 0), "nothing is stored");

    let granted = client.post(EXCHANGES, &valid).expect(201).json();
    let (exchange, install) = (granted["exchange"].as_str(), granted["install"].as_str());
    let confirm = format!("{EXCHANGES}/{}/confirm", exchange.expect("a name"));
    let mut frame = vec![1, 0, 2];
    frame.extend(HEXLOWER.decode(install.expect("hex").as_bytes()).expect("hex"));
    let installed = line.replay(&tests::wire::frame(&frame), 0);
    let token::link::Answer::Installed { tag } = installed else { panic!("{installed:?}") };
    let tag = json!({"tag": HEXLOWER.encode(&tag.0)});
    bodies(&mut client, &tag, &confirm, &["tag"]);
    for name in ["zz", "-1", "00", "0123456789abcdef0", "%2e%2e"] {
        client.post(&format!("{EXCHANGES}/{name}/confirm"), &tag).expect(404);
    }
    assert_eq!(rows(&bench), (0, 0), "nothing is stored before the proof");
    client.post(&confirm, &tag).expect(200);
    assert_eq!(rows(&bench), (1, 1));
    client.post(&confirm, &tag).expect(404);

    let device = "/v1/provisioning/devices/CST-000001";
    for counter in [json!(-1), json!(1u64 << 32), json!("1"), Value::Null] {
        malformed(&client.post(&format!("{device}/committed"), &json!({"counter": counter})), "committed");
    }
    client.post(&format!("{device}/committed"), &json!({"counter": 9})).expect(409);
    let order = json!({"order": "lock", "challenge": "00".repeat(16)});
    bodies(&mut client, &order, &format!("{device}/orders"), &["challenge"]);
    let other = json!({"order": "destroy", "challenge": "00".repeat(16)});
    malformed(&client.post(&format!("{device}/orders"), &other), "an order that is none");
    client.post("/v1/provisioning/devices/CST-000404/orders", &order).expect(404);
    assert_eq!(bench.known("CST-000001").map(|known| known.held), Some(true), "still to be committed");
}

/// One bit of what device or station said is another: refused, or it was a bit that nothing rests on.
///
/// Red when serial, key, nonce, counter or ephemeral key are taken from what is not signed.
#[test]
fn a_flipped_bit_gets_no_grant() {
    let bench = Bench::start();
    let token = bench.token_with("one", "CST-000001", &BRISK);
    let (valid, line) = begun(&bench, &token);
    line.leave();
    let mut client = bench.rig.admin();
    for field in ["start", "challenge"] {
        let bytes = HEXLOWER.decode(valid[field].as_str().expect("hex").as_bytes()).expect("hex");
        for n in 0..FLIPS {
            let bit = n * bytes.len() * 8 / FLIPS;
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let mut body = valid.clone();
            body[field] = json!(HEXLOWER.encode(&bytes));
            let answer = client.post(EXCHANGES, &body);
            assert!([400, 409].contains(&answer.status), "{field}, bit {bit}: {}", answer.text());
        }
    }
    assert_eq!(rows(&bench), (0, 0));
    client.post(EXCHANGES, &valid).expect(201);
}

/// Red when a key without the right may provision.
#[test]
fn only_the_bench_may_provision() {
    let bench = Bench::start();
    let token = bench.token_with("one", "CST-000001", &BRISK);
    let (valid, line) = begun(&bench, &token);
    line.leave();
    let key = bench.rig.app_key("vpn", &["verify", "challenge"]);
    let mut client = bench.rig.loopback(Some(&key));
    client.post(ATTEST, &json!({"info": valid["info"]})).expect(403);
    client.post(EXCHANGES, &valid).expect(403);
    client.post(&format!("{EXCHANGES}/00/confirm"), &json!({"tag": "00".repeat(16)})).expect(403);
    let order = json!({"order": "wipe", "challenge": "00".repeat(16)});
    client.post("/v1/provisioning/devices/CST-000001/orders", &order).expect(403);
    client.get("/v1/provisioning/host-key").expect(403);
    client.get("/v1/provisioning/devices/CST-000001").expect(403);
}
