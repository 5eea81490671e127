//! The byte strings of `docs/provisioning.md` that are signed, hashed or put under a MAC.
//!
//! Big endian; `L(x)` is x after its length as u32. Both ends build them from their own values and never take
//! them from the wire.

use heapless::Vec;
use sha2::{Digest as _, Sha256};

use crate::certificate::MakerCertificate;
use crate::message::{Order, Suite, WRAPPED_MAX};
use crate::octets::{Digest, Nonce16, Point};
use crate::policy::POLICY_LEN;
use crate::serial::{SERIAL_MAX, Serial};

const EXCHANGE_LABEL: &[u8] = b"countersign provisioning 1";
const GRANT_LABEL: &[u8] = b"countersign grant 1";
const CERTIFICATE_LABEL: &[u8] = b"countersign maker certificate 1";
const CLOCK_LABEL: &[u8] = b"countersign clock 1";
const LOCK_LABEL: &[u8] = b"countersign lock 1";
const RETURN_LABEL: &[u8] = b"countersign return 1";
const WIPE_LABEL: &[u8] = b"countersign wipe 1";

const LENGTH: usize = 4;
const POINT: usize = LENGTH + 65;

/// The longest [`Exchange::to_bytes`].
pub const EXCHANGE_MAX: usize = EXCHANGE_LABEL.len() + 1 + LENGTH + SERIAL_MAX + 1 + 4 + 16 + 16 + 2 * POINT;

/// The longest [`Grant::to_bytes`].
pub const GRANT_MAX: usize = EXCHANGE_MAX + POINT + LENGTH + POLICY_LEN + LENGTH + WRAPPED_MAX;

/// The longest [`Grant::to_signed_bytes`].
pub const SIGNED_GRANT_MAX: usize = GRANT_LABEL.len() + GRANT_MAX;

/// The longest [`order`].
pub const ORDER_MAX: usize = WIPE_LABEL.len() + 8 + LENGTH + SERIAL_MAX + 16 + 8;

/// The longest [`certificate`].
pub const CERTIFICATE_SIGNED_MAX: usize =
    CERTIFICATE_LABEL.len() + 1 + 8 + LENGTH + SERIAL_MAX + POINT + 4 + 4;

/// Which half of the key confirmation a tag is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmation {
    /// `tag_T`: the token holds the secret.
    Token,
    /// `tag_S`: the host may have it used.
    Server,
}

/// What both sides agree on before any key: M_1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// The key derivation.
    pub suite: Suite,
    /// The token's serial.
    pub serial: Serial,
    /// The slot to fill, from 0.
    pub slot: u8,
    /// The token's provisioning counter after this exchange.
    pub counter: u32,
    /// From the host's RNG.
    pub host_nonce: Nonce16,
    /// From the token's RNG, used once.
    pub device_nonce: Nonce16,
    /// Q_H.
    pub host_key: Point,
    /// E_T.
    pub device_ephemeral: Point,
}

impl Exchange {
    /// M_1, which the token signs with its attestation key.
    pub fn to_bytes(&self) -> Vec<u8, EXCHANGE_MAX> {
        let mut bytes = Vec::new();
        self.write(&mut bytes);
        bytes
    }

    fn write<const N: usize>(&self, bytes: &mut Vec<u8, N>) {
        put(bytes, EXCHANGE_LABEL);
        put(bytes, &[self.suite.id()]);
        put_sized(bytes, self.serial.as_str().as_bytes());
        put(bytes, &[self.slot]);
        put(bytes, &self.counter.to_be_bytes());
        put(bytes, self.host_nonce.as_slice());
        put(bytes, self.device_nonce.as_slice());
        put_sized(bytes, self.host_key.as_slice());
        put_sized(bytes, self.device_ephemeral.as_slice());
    }
}

/// The host's half, bound to an [`Exchange`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant<'a> {
    /// M_1.
    pub exchange: &'a Exchange,
    /// E_H.
    pub host_ephemeral: Point,
    /// The policy as [`Policy::to_bytes`](crate::Policy::to_bytes) writes it.
    pub policy: [u8; POLICY_LEN],
}

impl Grant<'_> {
    /// ctx, which goes into both derived keys: SHA-256(M_1 ‖ L(E_H) ‖ L(policy)).
    pub fn context(&self) -> Digest {
        let mut bytes = Vec::<u8, GRANT_MAX>::new();
        self.write_context(&mut bytes);
        sha256(&[&bytes])
    }

    /// The plaintext that is encrypted under Z to give the key-encryption key: SHA-256("kek" ‖ ctx).
    pub fn kek_input(&self) -> Digest {
        sha256(&[b"kek", self.context().as_slice()])
    }

    /// The plaintext that is encrypted under Z to give the confirmation key: SHA-256("confirm" ‖ ctx).
    pub fn confirm_input(&self) -> Digest {
        sha256(&[b"confirm", self.context().as_slice()])
    }

    /// The grant: M_1 ‖ L(E_H) ‖ L(policy) ‖ L(W).
    ///
    /// # Panics
    /// If `wrapped` is longer than [`WRAPPED_MAX`].
    pub fn to_bytes(&self, wrapped: &[u8]) -> Vec<u8, GRANT_MAX> {
        let mut bytes = Vec::new();
        self.write_context(&mut bytes);
        put_sized(&mut bytes, wrapped);
        bytes
    }

    /// What the host key signs: "countersign grant 1" ‖ grant.
    ///
    /// # Panics
    /// If `wrapped` is longer than [`WRAPPED_MAX`].
    pub fn to_signed_bytes(&self, wrapped: &[u8]) -> Vec<u8, SIGNED_GRANT_MAX> {
        let mut bytes = Vec::new();
        put(&mut bytes, GRANT_LABEL);
        self.write_context(&mut bytes);
        put_sized(&mut bytes, wrapped);
        bytes
    }

    /// The input of a confirmation tag's HMAC: 0x01 or 0x02, then SHA-256(grant).
    ///
    /// # Panics
    /// If `wrapped` is longer than [`WRAPPED_MAX`].
    pub fn tag_input(&self, wrapped: &[u8], confirmation: Confirmation) -> [u8; 33] {
        let mut input = [0; 33];
        input[0] = match confirmation {
            Confirmation::Token => 1,
            Confirmation::Server => 2,
        };
        input[1..].copy_from_slice(sha256(&[&self.to_bytes(wrapped)]).as_slice());
        input
    }

    fn write_context<const N: usize>(&self, bytes: &mut Vec<u8, N>) {
        self.exchange.write(bytes);
        put_sized(bytes, self.host_ephemeral.as_slice());
        put_sized(bytes, &self.policy);
    }
}

/// What the maker key signs.
pub fn certificate(certificate: &MakerCertificate) -> Vec<u8, CERTIFICATE_SIGNED_MAX> {
    let mut bytes = Vec::new();
    put(&mut bytes, CERTIFICATE_LABEL);
    put(&mut bytes, &[MakerCertificate::VERSION]);
    put(&mut bytes, certificate.maker.as_slice());
    put_sized(&mut bytes, certificate.serial.as_str().as_bytes());
    put_sized(&mut bytes, certificate.key.as_slice());
    put(&mut bytes, &certificate.issued.to_be_bytes());
    put(&mut bytes, &certificate.expires.to_be_bytes());
    bytes
}

/// What the host key signs for `order`, over a challenge that the token gave for it.
pub fn order(order: &Order, serial: &Serial, challenge: &Nonce16) -> Vec<u8, ORDER_MAX> {
    let mut bytes = Vec::new();
    put(
        &mut bytes,
        match order {
            Order::SetClock { .. } => CLOCK_LABEL,
            Order::Lock => LOCK_LABEL,
            Order::Return => RETURN_LABEL,
            Order::Wipe => WIPE_LABEL,
        },
    );
    put_sized(&mut bytes, serial.as_str().as_bytes());
    put(&mut bytes, challenge.as_slice());
    if let Order::SetClock { utc } = order {
        put(&mut bytes, &utc.to_be_bytes());
    }
    bytes
}

/// SHA-256 of the parts, one after the other.
pub fn sha256(parts: &[&[u8]]) -> Digest {
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    crate::Octets(hash.finalize().into())
}

/// The fingerprint of a public key, as a person compares it and a token reports it: SHA-256 of the point.
pub fn fingerprint(key: &Point) -> Digest {
    sha256(&[key.as_slice()])
}

fn put<const N: usize>(bytes: &mut Vec<u8, N>, part: &[u8]) {
    bytes.extend_from_slice(part).expect("each string's bound is the sum of its parts' bounds");
}

fn put_sized<const N: usize>(bytes: &mut Vec<u8, N>, part: &[u8]) {
    put(bytes, &(part.len() as u32).to_be_bytes());
    put(bytes, part);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::octets::Octets;
    use std::vec::Vec as StdVec;

    fn exchange(serial: &str) -> Exchange {
        Exchange {
            suite: Suite::CbcData,
            serial: Serial::parse(serial).unwrap(),
            slot: 3,
            counter: 0x0102_0304,
            host_nonce: Octets([0xaa; 16]),
            device_nonce: Octets([0xbb; 16]),
            host_key: Octets([4; 65]),
            device_ephemeral: Octets([5; 65]),
        }
    }

    /// Written out by hand from the specification.
    #[test]
    fn exchange_is_laid_out_as_specified() {
        let expected: StdVec<u8> = [
            &b"countersign provisioning 1"[..],
            &[2],
            &[0, 0, 0, 5],
            b"CST-1",
            &[3],
            &[1, 2, 3, 4],
            &[0xaa; 16],
            &[0xbb; 16],
            &[0, 0, 0, 65],
            &[4; 65],
            &[0, 0, 0, 65],
            &[5; 65],
        ]
        .concat();
        assert_eq!(exchange("CST-1").to_bytes()[..], expected[..]);
    }

    #[test]
    fn grant_and_its_hashes_are_laid_out_as_specified() {
        let exchange = exchange("CST-1");
        let grant = Grant { exchange: &exchange, host_ephemeral: Octets([6; 65]), policy: [7; POLICY_LEN] };
        let context =
            [&exchange.to_bytes()[..], &[0, 0, 0, 65], &[6; 65], &[0, 0, 0, 33], &[7; POLICY_LEN]].concat();
        let bytes = [&context[..], &[0, 0, 0, 40], &[8; 40]].concat();
        assert_eq!(grant.to_bytes(&[8; 40])[..], bytes[..]);
        assert_eq!(grant.to_signed_bytes(&[8; 40])[..], [b"countersign grant 1", &bytes[..]].concat());
        let ctx = Sha256::digest(&context);
        assert_eq!(grant.context().0, *ctx);
        assert_eq!(grant.kek_input().0, *Sha256::digest([b"kek", &ctx[..]].concat()));
        assert_eq!(grant.confirm_input().0, *Sha256::digest([b"confirm", &ctx[..]].concat()));
        for (confirmation, first) in [(Confirmation::Token, 1), (Confirmation::Server, 2)] {
            let expected = [&[first], &Sha256::digest(&bytes)[..]].concat();
            assert_eq!(grant.tag_input(&[8; 40], confirmation)[..], expected);
        }
    }

    #[test]
    fn the_longest_values_fit() {
        let exchange = exchange("ABCDEFGHIJKLMNOPQRSTUVWX");
        let grant = Grant { exchange: &exchange, host_ephemeral: Octets([6; 65]), policy: [7; POLICY_LEN] };
        assert_eq!(exchange.to_bytes().len(), EXCHANGE_MAX);
        assert_eq!(grant.to_signed_bytes(&[8; WRAPPED_MAX]).len(), SIGNED_GRANT_MAX);
    }

    #[test]
    fn orders_differ_in_their_label() {
        let serial = Serial::parse("CST-1").unwrap();
        let bytes = |kind| order(&kind, &serial, &Octets([9; 16]));
        let tail = [&[0, 0, 0, 5][..], b"CST-1", &[9; 16]].concat();
        assert_eq!(bytes(Order::Lock)[..], [b"countersign lock 1", &tail[..]].concat());
        assert_eq!(bytes(Order::Return)[..], [b"countersign return 1", &tail[..]].concat());
        assert_eq!(bytes(Order::Wipe)[..], [b"countersign wipe 1", &tail[..]].concat());
        let clock = [b"countersign clock 1", &tail[..], &[0, 0, 0, 0, 0, 0, 1, 0]].concat();
        assert_eq!(bytes(Order::SetClock { utc: 256 })[..], clock[..]);
    }
}
