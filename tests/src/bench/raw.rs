//! SoftHSM itself, through PKCS#11 in the measuring process: what no design around it can exceed.
//!
//! It is a process of its own only because the library reads its configuration's place from the environment.

use std::error::Error;
use std::io::{self, BufRead};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use tests::appliance::{PIN, SO_PIN, SOFTHSM};

use super::worker::{READY, Worker};

/// First argument of the process that measures.
const AS_WORKER: &str = "raw-hsm";
const LABEL: &str = "countersign raw";
/// Length of the secret and of the wrapping key, in bytes.
const KEY_LEN: u64 = 32;
/// RFC 3394 adds 8 bytes.
const BLOB_LEN: usize = 40;
/// Calls between two looks at the clock.
const BURST: u32 = 16;
const MESSAGE: [u8; 8] = 7u64.to_be_bytes();

/// Whether this process is to be the worker.
pub(super) fn asked_for() -> bool {
    std::env::args().nth(1).is_some_and(|argument| argument == AS_WORKER)
}

/// Starts the worker on the token directory that a `softhsm2.conf` names.
pub(super) fn start(directory: &Path) -> Worker {
    // This very file, even where a build has put another in its place meanwhile.
    let mut command = Command::new("/proc/self/exe");
    command.arg(AS_WORKER).env("SOFTHSM2_CONF", directory.join("softhsm2.conf"));
    Worker::start(&mut command)
}

/// The worker: `hmac` signs with one session key, `cycle` unwraps it anew each time and destroys it.
pub(super) fn serve() -> ExitCode {
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: SoftHSM: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<(), Box<dyn Error>> {
    let session = open()?;
    let kek = session.generate_key(
        &Mechanism::AesKeyGen,
        &[
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Wrap(true),
            Attribute::Unwrap(true),
            Attribute::ValueLen(KEY_LEN.into()),
        ],
    )?;
    let secret = session.generate_key(&Mechanism::GenericSecretKeyGen, &template(true))?;
    let mut blob = session.wrap_key(&Mechanism::AesKeyWrap, kek, secret)?;
    blob.truncate(BLOB_LEN);
    let unwrap = || session.unwrap_key(&Mechanism::AesKeyWrap, kek, &blob, &template(false));
    let sign = |key: ObjectHandle| session.sign(&Mechanism::Sha1Hmac, key, &MESSAGE).map(drop);
    let kept = unwrap()?;
    println!("{READY}");
    for line in io::stdin().lock().lines() {
        let line = line?;
        let (what, rest) = line.split_once(' ').ok_or("a measure and its length")?;
        let (_, seconds) = rest.split_once(' ').ok_or("callers and seconds")?;
        let length = Duration::from_secs_f64(seconds.parse()?);
        let rate = match what {
            "hmac" => rate(length, || sign(kept)),
            _ => rate(length, || {
                let key = unwrap()?;
                sign(key)?;
                session.destroy_object(key)
            }),
        }?;
        println!("{rate}");
    }
    Ok(())
}

/// A fresh token, logged in as its user.
fn open() -> Result<Session, Box<dyn Error>> {
    let pkcs11 = Pkcs11::new(SOFTHSM)?;
    pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))?;
    let blank = *pkcs11.get_slots_with_token()?.first().ok_or("SoftHSM always offers a blank token")?;
    pkcs11.init_token(blank, &AuthPin::from(SO_PIN), LABEL)?;
    let slot = pkcs11
        .get_slots_with_initialized_token()?
        .into_iter()
        .next()
        .ok_or("the token that was just initialised")?;
    let session = pkcs11.open_rw_session(slot)?;
    session.login(UserType::So, Some(&AuthPin::from(SO_PIN)))?;
    session.init_pin(&AuthPin::from(PIN))?;
    session.logout()?;
    session.login(UserType::User, Some(&AuthPin::from(PIN)))?;
    Ok(session)
}

/// A session key for HMAC, as the appliance keeps it; `born` gives the length of one that is generated.
fn template(born: bool) -> Vec<Attribute> {
    let mut template = vec![
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::GENERIC_SECRET),
        Attribute::Token(false),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(born),
        Attribute::Sign(true),
        Attribute::AllowedMechanisms(vec![MechanismType::SHA1_HMAC]),
    ];
    if born {
        template.push(Attribute::ValueLen(KEY_LEN.into()));
    }
    template
}

fn rate(
    length: Duration,
    mut call: impl FnMut() -> cryptoki::error::Result<()>,
) -> Result<f64, Box<dyn Error>> {
    let begun = Instant::now();
    let mut calls = 0u32;
    while begun.elapsed() < length {
        for _ in 0..BURST {
            call()?;
        }
        calls += BURST;
    }
    Ok(f64::from(calls) / begun.elapsed().as_secs_f64())
}
