//! A secret reaches the device and the record, and nobody else.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Instant;

use hmac::{Hmac, KeyInit, Mac};
use hsm::{
    EXCHANGE_LIFE, EXCHANGES_MAX, Enrolled, Hash, Hsm, HsmError, MATCH_BATCH_MAX, Matched, Provision,
    Provisioned, SignKey,
};
use sha1::Sha1;
use sha2::{Sha256, Sha512};

use crate::device::{Device, POLICY, confirmed, point, private_key};
use crate::rig::{LABEL, Rig, hotp};

/// A HOTP value of 6 digits (RFC 4226 section 5.3), under any hash.
fn code(hash: Hash, secret: &[u8], counter: u64) -> String {
    fn over<M: Mac + KeyInit>(secret: &[u8], counter: u64) -> Vec<u8> {
        let mut mac = <M as KeyInit>::new_from_slice(secret).expect("any length");
        mac.update(&counter.to_be_bytes());
        mac.finalize().into_bytes().to_vec()
    }
    let mac = match hash {
        Hash::Sha1 => over::<Hmac<Sha1>>(secret, counter),
        Hash::Sha256 => over::<Hmac<Sha256>>(secret, counter),
        Hash::Sha512 => over::<Hmac<Sha512>>(secret, counter),
    };
    let offset = usize::from(mac[mac.len() - 1] & 0xf);
    let word = u32::from_be_bytes(mac[offset..offset + 4].try_into().expect("4 bytes")) & 0x7fff_ffff;
    format!("{:06}", word % 1_000_000)
}

fn enrolled(provisioned: &Provisioned) -> Enrolled {
    Enrolled {
        record: provisioned.record.clone(),
        record_mac: provisioned.record_mac,
        state_mac: provisioned.state_mac,
        secret: None,
    }
}

/// Confirms on behalf of an honest device and an honest host.
fn confirm(hsm: &Hsm, device: &Device, provisioned: &Provisioned) -> Result<[u8; 16], HsmError> {
    let grant = device.grant(provisioned, &POLICY);
    let tag = device.tag(provisioned, &POLICY, 1);
    hsm.confirm(provisioned.exchange, &confirmed(1, &grant), &tag, &confirmed(2, &grant))
}

fn refused<T: std::fmt::Debug>(outcome: Result<T, HsmError>) -> String {
    match outcome {
        Err(HsmError::Refused { reason }) => reason,
        other => panic!("not refused: {other:?}"),
    }
}

/// Red when record and wrapped secret differ, or any step of the derivation is another than the document's.
#[test]
fn the_device_makes_the_codes_that_its_record_judges() {
    let rig = Rig::new();
    let hsm = rig.open();
    let cases = [
        (Hash::Sha1, 32, 200),
        (Hash::Sha1, 64, 20),
        (Hash::Sha256, 32, 20),
        (Hash::Sha256, 64, 20),
        (Hash::Sha512, 64, 20),
        (Hash::Sha512, 128, 20),
    ];
    for (hash, len, codes) in cases {
        let device = Device::new(&hsm);
        let provisioned = hsm.provision(device.request(hash, len)).expect("honest");
        let grant = device.grant(&provisioned, &POLICY);
        let signature = hsm.sign(SignKey::Host, &[b"countersign grant 1", grant.as_slice()].concat());
        assert!(device.accepts(&grant, &signature.expect("up")));
        let secret = device.unwrap(&provisioned, &POLICY).expect("whole");
        assert_eq!(secret.len(), len);
        let host = confirm(&hsm, &device, &provisioned).expect("the device's own tag");
        assert_eq!(host, device.tag(&provisioned, &POLICY, 2));
        let enrolled = enrolled(&provisioned);
        let counters: Vec<u64> = (0..codes).collect();
        for some in counters.chunks(MATCH_BATCH_MAX) {
            let candidate = |counter: &u64| hotp(&enrolled, code(hash, &secret, *counter).as_bytes(), codes);
            let verdicts = hsm.match_codes(some.iter().map(candidate).collect()).expect("up");
            for (counter, verdict) in some.iter().zip(verdicts) {
                let Matched::Hit { factor, .. } = verdict else { panic!("{hash:?} {counter}: {verdict:?}") };
                assert_eq!(
                    code(hash, &secret, factor as u64),
                    code(hash, &secret, *counter),
                    "{hash:?} of {len}"
                );
            }
        }
    }
}

/// Each case alters one thing of an honest request.
#[test]
fn a_request_that_the_device_did_not_sign_is_refused() {
    type Alter = fn(&mut Provision, &Device, &Hsm);
    let cases: [(&str, &str, Alter); 12] = [
        ("signature", "signature does not fit", |request, _, _| request.signature[40] ^= 1),
        ("signature of zeros", "", |request, _, _| request.signature = [0; 64]),
        ("attestation key", "signature does not fit", |request, _, hsm| {
            request.attestation = point(&private_key(hsm));
        }),
        ("no attestation key", "", |request, _, _| request.attestation = [4; 65]),
        ("serial", "signature does not fit", |request, _, _| request.signed[33] ^= 1),
        ("ephemeral", "ephemeral key", |request, _, hsm| request.device_ephemeral = point(&private_key(hsm))),
        ("host key", "host key", |request, device, hsm| {
            request.signed = Device::m1(2, &point(&private_key(hsm)), &request.device_ephemeral);
            request.signature = device.sign(&request.signed);
        }),
        ("no point", "", |request, device, hsm| {
            request.device_ephemeral[64] ^= 1;
            let host = hsm.public_key(SignKey::Host).expect("up");
            request.signed = Device::m1(2, &host, &request.device_ephemeral);
            request.signature = device.sign(&request.signed);
        }),
        ("suite", "not known", |request, _, _| request.suite = 1),
        ("signed suite", "this suite", |request, device, _| {
            request.signed[26] = 1;
            request.signature = device.sign(&request.signed);
        }),
        ("length", "32 or 64", |request, _, _| request.secret_len = 20),
        ("policy", "longer than", |request, _, _| request.policy = vec![0; 257]),
    ];
    let rig = Rig::new();
    let hsm = rig.open();
    let pid = hsm.child_pid();
    for (case, expected, alter) in cases {
        let device = Device::new(&hsm);
        let mut request = device.request(Hash::Sha1, 32);
        alter(&mut request, &device, &hsm);
        let reason = refused(hsm.provision(request));
        assert!(reason.contains(expected), "{case}: {reason}");
    }
    assert!(hsm.info().is_ok());
    assert_eq!(hsm.child_pid(), pid, "a bad request costs nobody the child");
}

#[test]
fn under_another_policy_nothing_is_unwrapped_or_confirmed() {
    let rig = Rig::new();
    let hsm = rig.open();
    let device = Device::new(&hsm);
    let provisioned = hsm.provision(device.request(Hash::Sha1, 32)).expect("honest");
    for at in 0..POLICY.len() {
        let mut policy = POLICY;
        policy[at] ^= 1;
        assert_eq!(device.unwrap(&provisioned, &policy), None, "byte {at}");
    }
    let mut policy = POLICY;
    policy[2] = 8;
    let grant = device.grant(&provisioned, &policy);
    let tag = device.tag(&provisioned, &policy, 1);
    refused(hsm.confirm(provisioned.exchange, &confirmed(1, &grant), &tag, &confirmed(2, &grant)));
    refused(confirm(&hsm, &device, &provisioned));
}

#[test]
fn an_exchange_is_confirmed_once_or_never() {
    let rig = Rig::new();
    let hsm = rig.open();
    let begin = || {
        let device = Device::new(&hsm);
        let provisioned = hsm.provision(device.request(Hash::Sha1, 32)).expect("honest");
        (device, provisioned)
    };
    let (device, done) = begin();
    let (other, waiting) = begin();
    confirm(&hsm, &device, &done).expect("honest");
    refused(confirm(&hsm, &device, &done));
    let foreign = device.tag(&done, &POLICY, 1);
    let grant = other.grant(&waiting, &POLICY);
    let (first, second) = (confirmed(1, &grant), confirmed(2, &grant));
    refused(hsm.confirm(waiting.exchange, &first, &foreign, &second));
    refused(confirm(&hsm, &other, &waiting));

    let (device, provisioned) = begin();
    let grant = device.grant(&provisioned, &POLICY);
    let (message, tag) = (confirmed(1, &grant), device.tag(&provisioned, &POLICY, 1));
    refused(hsm.confirm(provisioned.exchange, &message, &tag, &message));
    refused(confirm(&hsm, &device, &provisioned));

    let (device, provisioned) = begin();
    hsm.abandon(provisioned.exchange).expect("up");
    hsm.abandon(provisioned.exchange).expect("twice is as well");
    refused(confirm(&hsm, &device, &provisioned));
}

#[test]
fn one_exchange_too_many_ends_the_oldest() {
    let rig = Rig::new();
    let hsm = rig.open();
    let device = Device::new(&hsm);
    let request = device.request(Hash::Sha1, 32);
    let begun = Instant::now();
    let all: Vec<Provisioned> =
        (0..=EXCHANGES_MAX).map(|_| hsm.provision(request.clone()).expect("honest")).collect();
    let each = begun.elapsed().as_secs_f64() * 1000.0 / all.len() as f64;
    println!("{each:.2} ms per provision");
    refused(confirm(&hsm, &device, &all[0]));
    for provisioned in &all[1..] {
        confirm(&hsm, &device, provisioned).expect("still waiting");
    }
}

/// Red when any handle of an exchange outlives it.
#[test]
fn only_the_confirmation_key_outlives_the_call() {
    let (rig, calls) = Rig::spied();
    let hsm = rig.open();
    let live = || {
        let made: usize = [
            "C_GenerateKey",
            "C_CreateObject",
            "C_UnwrapKey",
            "C_DeriveKey",
            "C_GenerateKeyPair",
            "C_GenerateKeyPair",
        ]
        .into_iter()
        .map(&calls)
        .sum();
        made - calls("C_DestroyObject")
    };
    assert_eq!(live(), 0, "the self-test leaves nothing");
    let device = Device::new(&hsm);
    let provisioned = hsm.provision(device.request(Hash::Sha1, 32)).expect("honest");
    assert_eq!(live(), 1);
    confirm(&hsm, &device, &provisioned).expect("honest");
    assert_eq!(live(), 0);
    let provisioned = hsm.provision(device.request(Hash::Sha1, 32)).expect("honest");
    hsm.abandon(provisioned.exchange).expect("up");
    let mut forged = device.request(Hash::Sha1, 32);
    forged.signature[0] ^= 1;
    refused(hsm.provision(forged));
    assert_eq!(live(), 0);
}

#[test]
#[ignore = "waits for EXCHANGE_LIFE, two minutes"]
fn an_exchange_ends_with_its_time() {
    let rig = Rig::new();
    let hsm = rig.open();
    let device = Device::new(&hsm);
    let provisioned = hsm.provision(device.request(Hash::Sha1, 32)).expect("honest");
    let until = Instant::now() + EXCHANGE_LIFE;
    while Instant::now() < until {
        std::thread::park_timeout(until.saturating_duration_since(Instant::now()));
    }
    refused(confirm(&hsm, &device, &provisioned));
}

/// Writes down every page of a process that it could have written.
fn dump(process: &str, to: &Path) -> std::io::Result<()> {
    let memory = File::open(format!("/proc/{process}/mem"))?;
    let mut file = File::create(to)?;
    for line in BufReader::new(File::open(format!("/proc/{process}/maps"))?).lines() {
        let line = line?;
        let mut fields = line.split(' ');
        let (range, rights) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        let Some((from, until)) = range.split_once('-') else { continue };
        let address = |text| u64::from_str_radix(text, 16).expect("hex");
        let (mut at, until) = (address(from), address(until));
        let mut page = vec![0; 64 * 1024];
        while rights.starts_with("rw") && at < until {
            let wanted = page.len().min((until - at) as usize);
            let Ok(got @ 1..) = memory.read_at(&mut page[..wanted], at) else { break };
            file.write_all(&page[..got])?;
            at += got as u64;
        }
    }
    Ok(())
}

fn holds(dump: &Path, needle: &[u8]) -> bool {
    std::fs::read(dump).expect("scratch").windows(needle.len()).any(|window| window == needle)
}

/// The device unwraps the secret only after the pages were written down. Red when the secret is made outside
/// the HSM.
#[test]
fn the_secret_is_in_no_memory_but_the_devices() {
    let rig = Rig::new();
    let hsm = rig.open();
    let device = Device::new(&hsm);
    let provisioned = hsm.provision(device.request(Hash::Sha1, 32)).expect("honest");
    confirm(&hsm, &device, &provisioned).expect("honest");
    let (own, child) = (rig.path("own"), rig.path("child"));
    dump("self", &own).expect("own memory");
    let pid = hsm.child_pid().expect("up").to_string();
    let child_seen = dump(&pid, &child).is_ok();
    assert!(holds(&own, &provisioned.wrapped), "the dump is one");
    let secret = device.unwrap(&provisioned, &POLICY).expect("whole");
    assert!(!holds(&own, &secret));
    if child_seen {
        assert!(holds(&child, LABEL.as_bytes()), "the dump is one");
        assert!(!holds(&child, &secret));
    }
    println!("child's memory seen: {child_seen}");
}
