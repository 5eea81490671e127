//! Signatures: made under the long-term pairs, and verified under anyone's public key.

use cryptoki::mechanism::MechanismType;
use cryptoki::session::Session;

use super::curve::Ecdsa;
use super::fault::Fault;
use super::pairs::{Pair, Pairs};
use super::token::Token;
use crate::types::{AttributeCheck, POINT_LEN, SIGNATURE_LEN, SIGNED_MAX, SignKey};
use crate::wire::Signed;

/// What both halves of a pair have to agree on before it is used. No protocol's message begins like this.
const TRIAL: &[u8] = b"countersign.trial";

/// The pairs in use: the newest of each role.
pub(super) struct Signing {
    ecdsa: Option<Ecdsa>,
    pairs: Pairs,
    host: Option<Pair>,
    assertion: Option<Pair>,
}

impl Signing {
    pub(super) fn find(session: &Session, listed: &[MechanismType]) -> Result<Signing, Fault> {
        let ecdsa = Ecdsa::choose(listed);
        let pairs = Pairs::find(session)?;
        let tried = |key| match (ecdsa, pairs.newest(session, key)?) {
            (Some(ecdsa), Some(pair)) => tried(ecdsa, session, key, pair),
            _ => Ok(None),
        };
        let (host, assertion) = (tried(SignKey::Host)?, tried(SignKey::Assertion)?);
        Ok(Signing { ecdsa, pairs, host, assertion })
    }

    pub(super) fn has(&self, key: SignKey) -> bool {
        self.get(key).is_ok()
    }

    pub(super) fn get(&self, key: SignKey) -> Result<(Ecdsa, &Pair), Fault> {
        let ecdsa = self.ecdsa()?;
        let (name, pair) = match key {
            SignKey::Host => ("host-sign", &self.host),
            SignKey::Assertion => ("assertion-sign", &self.assertion),
        };
        match pair {
            Some(pair) => Ok((ecdsa, pair)),
            None => Err(Fault::Refused(format!(
                "the token has no usable {name} key: run `countersign hsm init` again, then restart the daemon"
            ))),
        }
    }

    pub(super) fn check(&self, session: &Session) -> Result<Vec<AttributeCheck>, Fault> {
        self.pairs.check(session)
    }

    fn ecdsa(&self) -> Result<Ecdsa, Fault> {
        self.ecdsa.ok_or_else(|| Fault::Refused("the PKCS#11 module does not offer CKM_ECDSA".into()))
    }
}

/// A pair that works. One whose public half is another's would have tokens pin a stranger's key: a fault. One
/// that cannot sign or be verified is not used, and whatever else the token does goes on.
fn tried(ecdsa: Ecdsa, session: &Session, key: SignKey, pair: Pair) -> Result<Option<Pair>, Fault> {
    let signature = ecdsa.sign(session, pair.private, TRIAL);
    match signature.and_then(|signature| ecdsa.verify(session, &pair.point, TRIAL, &signature)) {
        Ok(true) => Ok(Some(pair)),
        Ok(false) => {
            let label = key.label(pair.generation);
            Err(Fault::Device(format!("the two keys labelled {label} do not belong together")))
        }
        Err(Fault::Refused(_) | Fault::Suspect(_)) => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// Refuses a message that is longer than [`SIGNED_MAX`].
pub(super) fn bounded(message: &[u8]) -> Result<(), Fault> {
    match message.len() {
        0..=SIGNED_MAX => Ok(()),
        len => Err(Fault::Refused(format!("a message of {len} bytes is longer than {SIGNED_MAX}"))),
    }
}

impl Token {
    pub(super) fn sign(&self, key: SignKey, message: &[u8]) -> Result<[u8; SIGNATURE_LEN], Fault> {
        bounded(message)?;
        let (ecdsa, pair) = self.signing.get(key)?;
        ecdsa.sign(&self.session, pair.private, message)
    }

    pub(super) fn public_key(&self, key: SignKey) -> Result<[u8; POINT_LEN], Fault> {
        self.signing.get(key).map(|(_, pair)| pair.point)
    }

    pub(super) fn verify_signature(&self, signed: &Signed) -> Result<bool, Fault> {
        bounded(&signed.message)?;
        self.signing.ecdsa()?.verify(&self.session, &signed.public, &signed.message, &signed.signature)
    }
}
