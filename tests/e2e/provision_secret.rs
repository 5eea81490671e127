//! The secret of a hardware token where it must not be: in the daemon, in the station, on the wire, on the disk.
//! And what a thief of all long-term keys can do with a recorded wire: nothing, since both ephemeral keys are gone.
//!
//! SoftHSM keeps its keys in the HSM child's memory: that process is the exception, and is not searched.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use p256::ecdsa::SigningKey;
use tests::cable::{At, Break, Cable, Fault, Side, Trace};
use tests::memory::{memory, traces_of};
use tests::technician::{BRISK, Bench, Said};
use tests::wire::{answers, requests};
use tests::{Appliance, RigOptions, Secret, vault};
use token::link::{Answer, Request};

const ANSWERER: &str = "the_vault_answers";
/// Places in a dialogue at which processes are searched: before each of the station's frames, and amid bytes.
const PLACES: [(Side, At); 9] = [
    (Side::Host, At::Frame(1)),
    (Side::Host, At::Frame(2)),
    (Side::Host, At::Frame(3)),
    (Side::Host, At::Frame(4)),
    (Side::Host, At::Octet(77)),
    (Side::Host, At::Octet(301)),
    (Side::Token, At::Octet(13)),
    (Side::Token, At::Octet(480)),
    (Side::Token, At::Octet(560)),
];
/// Codes that the finger which says yes may have called up on its way.
const FINGERS: u64 = 3;
/// Length of a private key of P-256.
const SCALAR: usize = 32;
/// Longest run of one byte in a private key, and most text in one: beyond that is no chance.
const REPEATS_MAX: usize = 4;
const TEXT_MAX: usize = 26;

/// Not a test: the process that opens SoftHSM for the tests here.
#[test]
#[ignore = "asked by the other tests, in a process of its own"]
fn the_vault_answers() {
    vault::answer();
}

fn secret_of(bench: &Bench, serial: &str) -> Vec<u8> {
    let record = bench.known(serial).and_then(|known| known.record).expect("a provisioned token");
    vault::secret(&bench.rig, ANSWERER, &record)
}

/// Files of the state directory, with the log.
fn disk(rig: &Appliance) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(&rig.state).expect("the state directory");
    let mut disk: BTreeMap<String, Vec<u8>> = files
        .map(|file| file.expect("a file").path())
        .filter(|path| path.is_file())
        .map(|path| (path.display().to_string(), fs::read(&path).expect("own file")))
        .collect();
    disk.insert("the log".to_owned(), fs::read(&rig.log).expect("own log"));
    disk
}

/// Rule 7: no eight bytes of a secret are ever in the daemon's or the station's memory.
///
/// Red when either unwraps, computes or carries a secret. The search finds in both what they do hold.
#[test]
fn neither_daemon_nor_station_ever_holds_a_secret() {
    const BATCH: &str = "marker-of-the-scan";
    let bench = Bench::start();
    let mut dumps: Vec<(String, Vec<u8>)> = Vec::new();
    let mut serials = Vec::new();
    for (n, (side, at)) in PLACES.into_iter().enumerate() {
        let serial = format!("MEM-{n:06}");
        let token = bench.token_with(&serial, &serial, &BRISK);
        let with = Some(Break { side, at, fault: Fault::Hold });
        let cable = Cable::plug(&token.port, &bench.rig.path("memory.cable"), with);
        let more = ["--type", "hotp", "--batch", BATCH];
        let station = bench.command("provision", &cable.port, &more).spawn().expect("the binary starts");
        cable.await_hold();
        let looked: io::Result<Vec<_>> = [("the station", station.id()), ("the daemon", bench.rig.pid())]
            .into_iter()
            .map(|(who, pid)| Ok((format!("{who} at {side:?} {at:?}"), memory(pid)?)))
            .collect();
        cable.release();
        let said = Said::wait(station);
        assert!(said.provisioned(), "{}", said.told);
        cable.unplug();
        match looked {
            Ok(looked) => dumps.extend(looked),
            Err(error) => {
                println!("skipped: memory of processes cannot be read here: {error}");
                return;
            }
        }
        serials.push(serial);
    }
    dumps.push(("the daemon, afterwards".to_owned(), memory(bench.rig.pid()).expect("as before")));
    let secrets: Vec<Vec<u8>> = serials.iter().map(|serial| secret_of(&bench, serial)).collect();
    let maker = bench.maker_key();
    let needles: Vec<&[u8]> = secrets.iter().map(Vec::as_slice).collect();
    let granted = format!("the daemon at {:?} {:?}", Side::Host, At::Frame(2));
    for (place, bytes) in &dumps {
        let there = if place.contains("daemon") { &maker[..] } else { BATCH.as_bytes() };
        assert!(traces_of(&[there], bytes) > 0, "{place}: the search finds what is there");
        if *place == granted {
            assert!(traces_of(&[BATCH.as_bytes()], bytes) > 0, "{place}: the search finds what came in");
        }
        assert_eq!(traces_of(&needles, bytes), 0, "{place}");
    }
    let bytes: usize = dumps.iter().map(|(_, bytes)| bytes.len()).sum();
    println!("secret: {} dumps, {bytes} bytes, {} secrets, 0 found", dumps.len(), secrets.len());
}

/// One provisioning, recorded, of a token and its secret.
struct Recorded {
    bench: Bench,
    trace: Trace,
    secret: Vec<u8>,
    flash: Vec<u8>,
    objects: [Vec<String>; 2],
}

fn record() -> Recorded {
    let bench = Bench::start_with(RigOptions { log: "trace".to_owned(), ..RigOptions::default() }, "");
    let mut token = bench.token("CST-000001");
    let before = vault::objects(&bench.rig, ANSWERER);
    let cable = Cable::plug(&token.port, &bench.rig.path("record.cable"), None);
    let said = bench.provision_over(&cable);
    assert!(said.provisioned(), "{}", said.told);
    let trace = cable.unplug();
    let after = vault::objects(&bench.rig, ANSWERER);
    let secret = secret_of(&bench, "CST-000001");
    let (code, judge) = (token.code(6), Secret::new(secret.clone()));
    assert!((0..FINGERS).any(|n| code == judge.hotp(n)), "this is the secret, and it is the token's");
    let flash = token.flash();
    Recorded { bench, trace, secret, flash, objects: [before, after] }
}

/// The 32 bytes anywhere in these that are the private key of one of the points.
fn private_keys(points: &[&[u8]], bytes: &[u8]) -> usize {
    let by_chance = |window: &&[u8]| {
        let repeats = window.chunk_by(|a, b| a == b).map(<[u8]>::len).max().unwrap_or(0);
        let text = window.iter().filter(|byte| byte.is_ascii_graphic() || **byte == b' ').count();
        repeats <= REPEATS_MAX && text <= TEXT_MAX
    };
    let is_one = |window: &&[u8]| {
        SigningKey::from_slice(window).is_ok_and(|key| {
            let public = key.verifying_key().to_sec1_point(false);
            points.contains(&public.as_bytes())
        })
    };
    bytes.windows(SCALAR).filter(by_chance).filter(is_one).count()
}

fn softhsm_files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).expect("SoftHSM's directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else {
                files.insert(path.display().to_string(), fs::read(&path).expect("SoftHSM's file"));
            }
        }
    }
    files
}

/// Rule 7: the recorded wire in both directions, the long-term public values in it, and the host's disk with its
/// logs at the loudest give no eight bytes of the secret, in no spelling. The token's flash seals it too.
///
/// Red when a frame carries it unwrapped, or a log or a row tells it.
#[test]
fn wire_and_disk_hold_no_secret() {
    let recorded = record();
    let mut places = disk(&recorded.bench.rig);
    places.extend(softhsm_files(&recorded.bench.rig.path("tokens")));
    places.insert("the wire, from the station".to_owned(), recorded.trace.host.clone());
    places.insert("the wire, from the token".to_owned(), recorded.trace.token.clone());
    places.insert("the token's flash".to_owned(), recorded.flash.clone());
    for (place, bytes) in &places {
        assert_eq!(traces_of(&[&recorded.secret], bytes), 0, "{place}");
    }
    let known = places.iter().filter(|(_, bytes)| traces_of(&[b"CST-000001"], bytes) > 0).count();
    assert!(known >= 3, "the search finds the serial in store, log and wire: {known} places");
    println!(
        "secret: {} places, {} bytes, 0 found",
        places.len(),
        places.values().map(Vec::len).sum::<usize>()
    );
}

/// Forward secrecy: KEK comes from e_T and E_H, or e_H and E_T, and from nothing else that is secret. Neither private
/// half is in the token's flash, SoftHSM's files or the store; SoftHSM stores no object more than before. So the
/// wire, d_A and d_H together do not give KEK, nor the secret.
///
/// Red when an ephemeral pair is kept, or reused.
#[test]
fn neither_ephemeral_key_outlives_the_exchange() {
    let recorded = record();
    let [before, after] = &recorded.objects;
    assert!(before.len() >= 5, "the appliance's own keys: {before:?}");
    assert_eq!(before, after, "SoftHSM stores what it stored");
    let e_t = answers(&recorded.trace.token).into_iter().find_map(|answer| match answer {
        Answer::Challenge(challenge) => Some(challenge.device_ephemeral.0),
        _ => None,
    });
    let e_h = requests(&recorded.trace.host).into_iter().find_map(|recorded| match recorded.request {
        Request::Install(install) => Some(install.host_ephemeral.0),
        _ => None,
    });
    let (e_t, e_h) = (e_t.expect("a challenge"), e_h.expect("an install"));
    let points = [&e_t[..], &e_h[..]];
    let mut places = disk(&recorded.bench.rig);
    places.remove("the log");
    places.extend(softhsm_files(&recorded.bench.rig.path("tokens")));
    places.insert("the token's flash".to_owned(), recorded.flash.clone());
    for (place, bytes) in &places {
        assert_eq!(private_keys(&points, bytes), 0, "{place}");
    }

    let own = SigningKey::from_slice(&recorded.secret).expect("a random number is a scalar");
    let public = own.verifying_key().to_sec1_point(false);
    let planted = [&recorded.flash[..], &recorded.secret[..]].concat();
    assert_eq!(private_keys(&[public.as_bytes()], &planted), 1, "the search finds a key that is there");
}
