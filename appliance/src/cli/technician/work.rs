//! What a station does with one token: each act ends in an outcome that names what is wrong, and can be run again.

use std::convert::Infallible;
use std::path::Path;

use link::call::{GetInfo, GetNonce};
use link::{Abort, Commit, Info, Install, Life, Octets, Recovery, Refusal, Start, Suite, recovery};
use serde::{Deserialize, Serialize};

use super::super::client::{Client, segment};
use super::super::output::Failure;
use super::line::{Line, Said};
use crate::api::provisioning::hex;
use crate::api::wire;

/// What came of an act.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Outcome {
    /// Serial, once the factory has given one.
    pub(super) serial: Option<String>,
    /// Where in its life the token is.
    pub(super) state: String,
    /// Version and first bytes of the image's hash.
    pub(super) firmware: String,
    /// Fingerprint of the host that owns it.
    pub(super) fingerprint: Option<String>,
    /// What is wrong, if anything is.
    pub(super) error: Option<String>,
}

/// What a token shall become.
pub(super) struct Wanted {
    /// `totp`, `hotp` or `ocra`.
    pub(super) kind: &'static str,
    /// Hash of the HMAC.
    pub(super) algorithm: Option<String>,
    /// Digits of a code.
    pub(super) digits: Option<u8>,
    /// Digits of a question.
    pub(super) question_digits: Option<u8>,
    /// Whether a checksum digit follows each code.
    pub(super) checksum: Option<bool>,
    /// Truncation offset.
    pub(super) truncation_offset: Option<i8>,
    /// The slot to fill.
    pub(super) slot: u8,
    /// The batch it belongs to.
    pub(super) batch: Option<String>,
}

fn life(life: Life) -> &'static str {
    match life {
        Life::Factory => "factory",
        Life::Attested => "attested",
        Life::Provisioned => "provisioned",
        Life::Locked => "locked",
        Life::Returned => "returned",
        Life::Wiped => "wiped",
    }
}

fn outcome(info: &Info, error: Option<String>) -> Outcome {
    let [major, minor, patch] = info.firmware.version;
    let hash = data_encoding::HEXLOWER.encode(&info.firmware.hash.0[..8]);
    Outcome {
        serial: info.certificate.as_ref().map(|certificate| certificate.serial.as_str().to_owned()),
        state: life(info.life).to_owned(),
        firmware: format!("{major}.{minor}.{patch} {hash}"),
        fingerprint: info.owner.map(|owner| data_encoding::HEXLOWER.encode(&owner.0)),
        error,
    }
}

impl Outcome {
    /// Nothing is known of the token, if there is one, but why.
    pub(super) fn unknown(text: String) -> Self {
        Outcome {
            serial: None,
            state: "unknown".to_owned(),
            firmware: String::new(),
            fingerprint: None,
            error: Some(text),
        }
    }
}

/// Asks who it is.
pub(super) fn identify(port: &Path) -> Result<Outcome, Failure> {
    identify_on(&mut Line::open(port)?)
}

/// The same on a line that is open.
pub(super) fn identify_on(line: &mut Line) -> Result<Outcome, Failure> {
    again(line, None)
}

/// A token's image.
#[derive(Debug, Serialize)]
pub(super) struct Firmware {
    /// Version.
    pub(super) version: String,
    /// SHA-256 of the image, hex.
    pub(super) hash: String,
}

/// Asks for version and hash of the image.
pub(super) fn firmware(port: &Path) -> Result<Said<Firmware>, Failure> {
    let mut line = Line::open(port)?;
    let info = line.call(GetInfo, &|_| {})?;
    Ok(info.map(|info| {
        let [major, minor, patch] = info.firmware.version;
        let hash = data_encoding::HEXLOWER.encode(&info.firmware.hash.0);
        Firmware { version: format!("{major}.{minor}.{patch}"), hash }
    }))
}

/// Asks who it is and lets the appliance check the maker's word.
pub(super) fn attest(client: &Client<'_>, port: &Path) -> Result<Outcome, Failure> {
    attest_on(client, &mut Line::open(port)?)
}

/// The same on a line that is open.
pub(super) fn attest_on(client: &Client<'_>, line: &mut Line) -> Result<Outcome, Failure> {
    let info = match line.call(GetInfo, &|_| {})? {
        Ok(info) => info,
        Err(text) => return Ok(Outcome::unknown(text)),
    };
    let asked =
        client.post::<serde_json::Value>("/v1/provisioning/attest", &wire::Attest { info: hex(&info) });
    Ok(outcome(&info, asked.err().map(|refusal| refusal.to_string())))
}

/// Gives a token a secret. An exchange that was cut before is first finished, if the appliance released it, or
/// cleared.
pub(super) fn provision(
    client: &Client<'_>,
    port: &Path,
    wanted: &Wanted,
    tell: &dyn Fn(&str),
) -> Result<Outcome, Failure> {
    provision_on(client, &mut Line::open(port)?, wanted, tell)
}

/// The same on a line that is open.
pub(super) fn provision_on(
    client: &Client<'_>,
    line: &mut Line,
    wanted: &Wanted,
    tell: &dyn Fn(&str),
) -> Result<Outcome, Failure> {
    let info = match line.call(GetInfo, tell)? {
        Ok(info) => info,
        Err(text) => return Ok(Outcome::unknown(text)),
    };
    match recover(client, line, &info, tell)? {
        Ok(true) => return again(line, None),
        Ok(false) => {}
        Err(text) => return Ok(outcome(&info, Some(text))),
    }
    let done = exchange(client, line, &info, wanted, tell)?;
    again(line, done.err())
}

fn again(line: &mut Line, error: Option<String>) -> Result<Outcome, Failure> {
    Ok(match line.call(GetInfo, &|_| {})? {
        Ok(info) => outcome(&info, error),
        Err(text) => Outcome::unknown(error.unwrap_or(text)),
    })
}

/// Finishes or clears what an earlier cut left over. True when that has provisioned the token.
fn recover(
    client: &Client<'_>,
    line: &mut Line,
    info: &Info,
    tell: &dyn Fn(&str),
) -> Result<Said<bool>, Failure> {
    let Some(certificate) = &info.certificate else { return Ok(Ok(false)) };
    let serial = certificate.serial.as_str();
    let known = client.find::<wire::Device>(&format!("/v1/provisioning/devices/{}", segment(serial)))?;
    let held = known.as_ref().filter(|device| device.commit.is_some()).map(|device| device.counter);
    match recovery(info, held) {
        Recovery::None => Ok(Ok(false)),
        Recovery::Abort { counter } => {
            tell("clearing an exchange that was cut");
            Ok(line.call(Abort { counter }, tell)?.map(|_| false))
        }
        Recovery::Commit { counter } => {
            tell("finishing an exchange that was cut");
            let text = known.and_then(|device| device.commit).unwrap_or_default();
            let commit: Commit = message(&text)?;
            match line.call(commit, tell)? {
                Ok(_) => {
                    note_commit(client, serial, counter)?;
                    Ok(Ok(true))
                }
                // Somebody aborted it on the token: nobody holds that secret, and the next takes its place here.
                Err(text) if text == Refusal::Counter.to_string() => Ok(Ok(false)),
                Err(text) => Ok(Err(text)),
            }
        }
    }
}

fn note_commit(client: &Client<'_>, serial: &str, counter: u32) -> Result<(), Failure> {
    let path = format!("/v1/provisioning/devices/{}/committed", segment(serial));
    client.post_nothing(&path, &wire::Committed { counter })
}

fn exchange(
    client: &Client<'_>,
    line: &mut Line,
    info: &Info,
    wanted: &Wanted,
    tell: &dyn Fn(&str),
) -> Result<Said<()>, Failure> {
    let key: wire::HostKey = client.get("/v1/provisioning/host-key")?;
    let mut nonce = [0; 16];
    rustix::rand::getrandom(&mut nonce, rustix::rand::GetRandomFlags::empty()).map_err(Failure::fault)?;
    let start = Start {
        slot: wanted.slot,
        suite: Suite::CbcData,
        host_nonce: Octets(nonce),
        host_key: Octets(decode(&key.key)?),
    };
    let challenge = match line.call(start.clone(), tell)? {
        Ok(challenge) => challenge,
        Err(text) => return Ok(Err(text)),
    };
    let begin = wire::BeginProvisioning {
        info: hex(info),
        start: hex(&start),
        challenge: hex(&challenge),
        kind: wanted.kind.to_owned(),
        algorithm: wanted.algorithm.clone(),
        digits: wanted.digits,
        period: None,
        counter: None,
        question_digits: wanted.question_digits,
        checksum: wanted.checksum,
        truncation_offset: wanted.truncation_offset,
        batch: wanted.batch.clone(),
    };
    let granted: wire::Granted = match client.post("/v1/provisioning/exchanges", &begin) {
        Ok(granted) => granted,
        Err(refusal) => return refusal.unless_unavailable(),
    };
    tell("installing the wrapped secret");
    let tag = match line.call(message::<Install>(&granted.install)?, tell)? {
        Ok(tag) => tag,
        Err(text) => return Ok(Err(text)),
    };
    let path = format!("/v1/provisioning/exchanges/{}/confirm", segment(&granted.exchange));
    let proof = wire::Proof { tag: data_encoding::HEXLOWER.encode(&tag.0) };
    let release: wire::Release = match client.post(&path, &proof) {
        Ok(release) => release,
        Err(refusal) => {
            // Where only the answer was lost the secret may be known: the next run asks before it clears anything.
            let Err(refusal) = refusal.unless_unavailable::<Infallible>()?;
            return Ok(Err(match line.call(Abort { counter: challenge.counter }, tell)? {
                Ok(_) => refusal,
                Err(text) => format!("{refusal}; and the token could not clear it: {text}"),
            }));
        }
    };
    match line.call(message::<Commit>(&release.commit)?, tell)? {
        Ok(_) => {
            let serial = info.certificate.as_ref().map_or("", |certificate| certificate.serial.as_str());
            note_commit(client, serial, challenge.counter)?;
            Ok(Ok(()))
        }
        Err(text) => Ok(Err(text)),
    }
}

/// Has the appliance sign an order and the token obey it.
pub(super) fn order(client: &Client<'_>, port: &Path, what: &str) -> Result<Outcome, Failure> {
    let mut line = Line::open(port)?;
    let tell = |text: &str| eprintln!("{text}");
    let info = match line.call(GetInfo, &tell)? {
        Ok(info) => info,
        Err(text) => return Ok(Outcome::unknown(text)),
    };
    let Some(certificate) = &info.certificate else {
        return Ok(outcome(
            &info,
            Some("the token has no serial yet: it has not left the factory".to_owned()),
        ));
    };
    let nonce = match line.call(GetNonce, &tell)? {
        Ok(nonce) => nonce,
        Err(text) => return Ok(outcome(&info, Some(text))),
    };
    let path = format!("/v1/provisioning/devices/{}/orders", segment(certificate.serial.as_str()));
    let new = wire::NewOrder {
        order: what.to_owned(),
        challenge: data_encoding::HEXLOWER.encode(&nonce.challenge.0),
    };
    let signed: wire::SignedOrder = match client.post(&path, &new) {
        Ok(signed) => signed,
        Err(waiting) if waiting.is_waiting() => return Err(waiting),
        Err(refusal) => return Ok(outcome(&info, Some(refusal.to_string()))),
    };
    let obeyed = line.ask(&message(&signed.request)?, &tell)?;
    again(&mut line, obeyed.err())
}

fn message<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, Failure> {
    let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).map_err(Failure::fault)?;
    postcard::from_bytes(&bytes).map_err(Failure::fault)
}

fn decode<const N: usize>(text: &str) -> Result<[u8; N], Failure> {
    let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).map_err(Failure::fault)?;
    bytes.try_into().map_err(|_| Failure::fault("the daemon's key has another length"))
}
