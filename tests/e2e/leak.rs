//! Where secrets must not be: logs, files of the store, the daemon's memory.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use data_encoding::{HEXLOWER, HEXUPPER};
use serde_json::json;
use tests::appliance::{PIN, SO_PIN};
use tests::memory::memory;
use tests::{Appliance, PATIENCE, RigOptions, Secret, wait_until};

const NUMBER: &str = "+41796203185";
const CONTACT: &str = "+41796203186";

/// What must not be found, by name.
type Canaries = BTreeMap<String, Vec<u8>>;

fn add_secret(canaries: &mut Canaries, name: &str, secret: &Secret) {
    canaries.insert(format!("{name}, bytes"), secret.bytes.clone());
    canaries.insert(format!("{name}, Base32"), secret.base32().into_bytes());
    canaries.insert(format!("{name}, hex"), HEXLOWER.encode(&secret.bytes).into_bytes());
    canaries.insert(format!("{name}, HEX"), HEXUPPER.encode(&secret.bytes).into_bytes());
}

/// One pass over the bytes: at each place only the canaries that begin with this byte are compared.
fn found_in(canaries: &Canaries, place: &str, bytes: &[u8]) -> Vec<String> {
    let mut by_first: Vec<Vec<(&String, &Vec<u8>)>> = vec![Vec::new(); 256];
    for (name, canary) in canaries {
        by_first[usize::from(canary[0])].push((name, canary));
    }
    let mut found = BTreeSet::new();
    for (at, byte) in bytes.iter().enumerate() {
        let here = by_first[usize::from(*byte)].iter();
        found.extend(here.filter(|(_, canary)| bytes[at..].starts_with(canary)).map(|(name, _)| *name));
    }
    found.into_iter().map(|name| format!("{name} in {place}")).collect()
}

/// Every file of the state directory, and the daemon's log.
fn places(rig: &Appliance) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(&rig.state).expect("the state directory");
    let mut places: BTreeMap<String, Vec<u8>> = files
        .map(|file| file.expect("a file").path())
        .filter(|path| path.is_file())
        .map(|path| (path.display().to_string(), fs::read(&path).expect("own file")))
        .collect();
    places.insert("the log".to_owned(), fs::read(&rig.log).expect("own log"));
    places
}

/// OATH-08, A29, T19, rule 8. Red when a code, a secret, a PIN, a number or a key is logged at any level, or stored as it
/// is.
#[test]
fn no_log_and_no_file_of_the_store_holds_a_secret() {
    let config = "[sms]\notp_length = 10\n[limits]\ndelay_from = 20\npair_failures = 50\n";
    let mut rig =
        Appliance::start(RigOptions { log: "trace".to_owned(), ..RigOptions::with_modem().config(config) });
    let mut canaries = Canaries::new();
    canaries.insert("PIN".to_owned(), PIN.into());
    canaries.insert("SO PIN".to_owned(), SO_PIN.into());
    canaries.insert("phone".to_owned(), NUMBER[1..].into());
    canaries.insert("contact phone".to_owned(), CONTACT[1..].into());
    rig.admin().post("/v1/users", &json!({"name": "alice", "phone": CONTACT})).expect(201);
    rig.phone("alice", NUMBER);
    let given = Secret { digits: 8, ..Secret::new(*b"a secret from afar!!") };
    let fields = [
        json!({"type": "hotp", "digits": 8, "secret": given.base32()}),
        json!({"type": "hotp", "digits": 8}),
        json!({"type": "hotp", "digits": 8, "algorithm": "SHA512"}),
    ];
    let tokens: Vec<_> = fields.iter().map(|fields| rig.token("alice", fields)).collect();
    let key = rig.app_key("vpn", &["verify", "challenge"]);
    canaries.insert("API key".to_owned(), key.clone().into_bytes());
    for (n, token) in tokens.iter().enumerate() {
        add_secret(&mut canaries, &format!("secret {n}"), &token.secret);
    }
    let mut clients = [rig.loopback(Some(&key)), rig.local(&key)];
    for counter in 0..10 {
        for (n, token) in tokens.iter().enumerate() {
            let otp = token.secret.hotp(counter);
            let body = json!({"token": token.serial, "otp": otp, "request_id": format!("{n}-{counter}")});
            assert!(clients[n % 2].post("/v1/verify", &body).accepted());
            assert!(clients[n % 2].verify_token(&token.serial, &otp).rejected());
            canaries.insert(format!("code {n}-{counter}"), otp.into_bytes());
        }
    }
    let app = &mut clients[0];
    let order = json!({"user": "alice", "channel": "sms"});
    let id = app.post("/v1/challenges", &order).expect(201).json()["id"].as_str().unwrap().to_owned();
    let otp = rig.modem().await_message(NUMBER, 1).code();
    let path = format!("/v1/challenges/{id}");
    wait_until(PATIENCE, "the challenge waits", || {
        (app.get(&path).expect(200).json()["state"] == "waiting").then_some(())
    });
    assert!(app.post(&format!("{path}/verify"), &json!({"otp": otp})).accepted());
    canaries.insert("sent code".to_owned(), otp.into_bytes());
    rig.cli_with_input(&["verify", "--user", "alice", "-"], "00000000\n");

    let live = places(&rig);
    rig.stop();
    let mut found: Vec<String> =
        live.iter().flat_map(|(place, bytes)| found_in(&canaries, place, bytes)).collect();
    found.extend(places(&rig).iter().flat_map(|(place, bytes)| found_in(&canaries, place, bytes)));
    assert!(found.is_empty(), "{found:#?}");

    let controls = Canaries::from([("a name".to_owned(), b"alice".to_vec())]);
    let seen: Vec<_> = live.iter().flat_map(|(place, bytes)| found_in(&controls, place, bytes)).collect();
    assert!(
        seen.iter().any(|place| place.contains("countersign.db")),
        "the search finds what is there: {seen:?}"
    );
    let bytes: usize = live.values().map(Vec::len).sum();
    println!("leak: {} secrets, {} places, {bytes} bytes, 0 found", canaries.len(), live.len());
}

/// A19, T20, rule 7: while it verifies, the daemon never holds a seed; the HSM child does, with a software HSM.
/// Red when the daemon unwraps or computes anything itself.
#[test]
fn the_daemon_never_holds_a_seed_while_verifying() {
    let mut rig = Appliance::start(RigOptions::default());
    rig.user("marker-of-the-scan");
    let given = Secret::new(*b"another one from far");
    let tokens = [
        rig.token("marker-of-the-scan", &json!({"type": "hotp", "secret": given.base32()})),
        rig.token("marker-of-the-scan", &json!({"type": "hotp"})),
        rig.token("marker-of-the-scan", &json!({"type": "hotp", "algorithm": "SHA256"})),
    ];
    let mut canaries = Canaries::new();
    for (n, token) in tokens.iter().enumerate() {
        add_secret(&mut canaries, &format!("seed {n}"), &token.secret);
    }
    canaries.insert("PIN".to_owned(), PIN.into());
    let key = rig.app_key("vpn", &["verify"]);
    rig.restart();
    let mut app = rig.loopback(Some(&key));
    let mut bytes = 0;
    for counter in 0..20 {
        for token in &tokens {
            assert!(app.verify_token(&token.serial, &token.secret.hotp(counter)).accepted());
        }
        app.verify("marker-of-the-scan", "000000");
        let memory = match memory(rig.pid()) {
            Ok(memory) => memory,
            Err(error) => {
                println!("leak: skipped, the daemon's memory cannot be read here: {error}");
                return;
            }
        };
        let found = found_in(&canaries, "the daemon's memory", &memory);
        assert!(found.is_empty(), "{found:#?}");
        let controls = Canaries::from([("a serial".to_owned(), tokens[0].serial.clone().into_bytes())]);
        assert!(!found_in(&controls, "memory", &memory).is_empty(), "the scan sees what is there");
        bytes += memory.len();
    }
    println!("leak: 20 scans, {bytes} bytes of memory, 0 seeds");
}
