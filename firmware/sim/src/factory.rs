//! The maker's bench in software: a key in a file, and the step that makes a blank token an attested one.

use std::fs;
use std::io::Write as _;
use std::ops::RangeInclusive;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use data_encoding::HEXLOWER;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use token::Token;
use token::link::{Call, Event, MakerCertificate, Octets, Point, Serial, Session, call, transcript};

use crate::board::{Board, unix_seconds};
use crate::flash::random;

/// How long a certificate of this bench holds, in days.
pub(crate) const VALIDITY_DAYS: u32 = 10 * 365;

/// The token is in this process; it answers at once or never.
const POLLS_MAX: usize = 1_000;

/// Makes a maker key in a new file and gives its public point in hex.
///
/// # Errors
/// If the file is there already or cannot be written.
pub fn make_maker(out: &Path) -> anyhow::Result<String> {
    let mut secret = [0; 32];
    let key = loop {
        random(&mut secret)?;
        // One in 2^32 draws is no scalar.
        if let Ok(key) = SigningKey::from_slice(&secret) {
            break key;
        }
    };
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(out)?;
    writeln!(file, "{}", HEXLOWER.encode(&secret))?;
    Ok(HEXLOWER.encode(public(&key)?.as_slice()))
}

fn load(path: &Path) -> anyhow::Result<SigningKey> {
    let text = fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))?;
    let secret = HEXLOWER.decode(text.trim().as_bytes()).context("the maker key is not hexadecimal")?;
    SigningKey::from_slice(&secret).ok().context("the maker key is not a P-256 key")
}

fn public(key: &SigningKey) -> anyhow::Result<Point> {
    let point = key.verifying_key().to_sec1_point(false);
    Ok(Octets(point.as_bytes().try_into().context("a point has 65 bytes")?))
}

/// Gives a blank token its serial, has it make its attestation key, and certifies both.
///
/// # Errors
/// If the maker key cannot be read or the token refuses.
pub(crate) fn attest(
    token: &mut Token<Board>,
    maker: &Path,
    serial: Serial,
    days: RangeInclusive<u32>,
) -> anyhow::Result<()> {
    let key = ask(token, call::Personalise(serial.clone()))?;
    ask(token, call::Certify(sign(&load(maker)?, serial, key, days)?))
}

/// The certificate of the maker key in a file, from today on.
///
/// # Errors
/// If the maker key cannot be read.
pub(crate) fn certificate(maker: &Path, serial: Serial, key: Point) -> anyhow::Result<MakerCertificate> {
    certify(&load(maker)?, serial, key, today())
}

/// Days since 1970-01-01.
pub(crate) fn today() -> u32 {
    (unix_seconds() / 86_400) as u32
}

/// The certificate of a maker key for a serial and an attestation key, from `today` on, in days since 1970-01-01.
///
/// # Errors
/// None in practice: a point has 65 bytes.
pub fn certify(
    maker: &SigningKey,
    serial: Serial,
    key: Point,
    today: u32,
) -> anyhow::Result<MakerCertificate> {
    sign(maker, serial, key, today..=today.saturating_add(VALIDITY_DAYS))
}

fn sign(
    maker: &SigningKey,
    serial: Serial,
    key: Point,
    days: RangeInclusive<u32>,
) -> anyhow::Result<MakerCertificate> {
    let mut certificate = MakerCertificate {
        maker: MakerCertificate::key_id(&public(maker)?),
        serial,
        key,
        issued: *days.start(),
        expires: *days.end(),
        signature: Octets([0; 64]),
    };
    let signature: Signature = maker.sign(&transcript::certificate(&certificate));
    certificate.signature = Octets(signature.to_bytes().into());
    Ok(certificate)
}

/// Whether the token still waits for its factory.
pub(crate) fn is_blank(token: &mut Token<Board>) -> anyhow::Result<bool> {
    Ok(ask(token, call::GetInfo)?.life == token::link::Life::Factory)
}

fn ask<C: Call>(token: &mut Token<Board>, call: C) -> anyhow::Result<C::Answer> {
    let mut session = Session::new(0);
    ensure!(session.begin(&call.into_request(), 0).is_ok(), "a new session is idle");
    for _ in 0..POLLS_MAX {
        if let Some(bytes) = session.poll_transmit() {
            token.platform_mut().from_host.extend(bytes);
        }
        token.poll();
        let answer = core::mem::take(&mut token.platform_mut().to_host);
        session.handle_bytes(&answer, 0);
        match session.poll_event() {
            None | Some(Event::Waiting(_)) => {}
            Some(Event::Answered(answer)) => {
                return C::answer(answer).context("the token's answer is to another question");
            }
            Some(Event::Refused(refusal)) => bail!("{refusal}"),
            Some(Event::Failed(failure)) => bail!("{failure}"),
        }
    }
    bail!("the token does not answer")
}
