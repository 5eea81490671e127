//! The HSM and the host in software. Every byte string is written out here from the specification; nothing of
//! `link::transcript` is used.

use aes::cipher::{BlockCipherEncrypt as _, KeyInit as _};
use hmac::{Hmac, Mac as _};
use link::{Challenge, Install, MakerCertificate, Octets, Point, Start, Suite};
use p256::ecdsa::signature::{Signer as _, Verifier as _};
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use p256::elliptic_curve::sec1::ToSec1Point as _;
use p256::{PublicKey, SecretKey};
use sha2::{Digest as _, Sha256};

pub(crate) const UTC: i64 = 1_800_000_000;

/// HOTP with SHA-1 and six digits.
pub(crate) const HOTP: [u8; 33] = policy(1, 0, 0);
/// TOTP with SHA-1, six digits and 30 seconds.
pub(crate) const TOTP: [u8; 33] = policy(2, 30, 0);
/// OCRA with SHA-1, six digits and questions of eight: OCRA-1:HOTP-SHA1-6:QN08.
pub(crate) const OCRA: [u8; 33] = policy(3, 8, 0);

const fn policy(kind: u8, period: u8, counter0: u8) -> [u8; 33] {
    let mut bytes = [0; 33];
    (bytes[0], bytes[1], bytes[2], bytes[4], bytes[6], bytes[14]) = (kind, 1, 6, 0xff, period, counter0);
    let utc = UTC.to_be_bytes();
    let mut at = 0;
    while at < 8 {
        bytes[23 + at] = utc[at];
        at += 1;
    }
    bytes[32] = 20;
    bytes
}

pub(crate) struct Hsm {
    key: SigningKey,
    seed: u8,
}

/// What the two sides speak about, as the host sees it.
#[derive(Clone)]
pub(crate) struct Said {
    pub(crate) serial: String,
    pub(crate) attestation_key: Point,
    pub(crate) start: Start,
    pub(crate) challenge: Challenge,
}

/// What the HSM gives, and what it keeps.
#[derive(Clone)]
pub(crate) struct Granted {
    pub(crate) install: Install,
    pub(crate) secret: [u8; 20],
    pub(crate) token_tag: [u8; 16],
    pub(crate) server_tag: [u8; 16],
}

fn sized(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes(), bytes].concat()
}

fn point(key: &PublicKey) -> Point {
    Octets(key.to_sec1_point(false).as_bytes().try_into().unwrap())
}

fn cbc(key: &[u8; 32], plain: [u8; 32]) -> [u8; 32] {
    let cipher = aes::Aes256::new(key.into());
    let mut out = [0; 32];
    let mut before = [0u8; 16];
    for at in [0, 16] {
        for i in 0..16 {
            before[i] ^= plain[at + i];
        }
        let mut block = before.into();
        cipher.encrypt_block(&mut block);
        before = block.into();
        out[at..at + 16].copy_from_slice(&before);
    }
    out
}

impl Said {
    pub(crate) fn m1(&self) -> Vec<u8> {
        [
            &b"countersign provisioning 1"[..],
            &[match self.start.suite {
                Suite::Hkdf => 1,
                Suite::CbcData => 2,
            }],
            &sized(self.serial.as_bytes()),
            &[self.challenge.slot],
            &self.challenge.counter.to_be_bytes(),
            &self.start.host_nonce.0,
            &self.challenge.device_nonce.0,
            &sized(&self.start.host_key.0),
            &sized(&self.challenge.device_ephemeral.0),
        ]
        .concat()
    }

    pub(crate) fn is_attested(&self) -> bool {
        let key = VerifyingKey::from_sec1_bytes(&self.attestation_key.0).unwrap();
        let signature = Signature::from_slice(&self.challenge.signature.0).unwrap();
        key.verify(&self.m1(), &signature).is_ok()
    }
}

impl Hsm {
    pub(crate) fn new(seed: u8) -> Self {
        Self { key: SigningKey::from_slice(&[seed; 32]).unwrap(), seed }
    }

    pub(crate) fn public(&self) -> Point {
        Octets(self.key.verifying_key().to_sec1_point(false).as_bytes().try_into().unwrap())
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Octets<64> {
        let signature: Signature = self.key.sign(message);
        Octets(signature.to_bytes().into())
    }

    pub(crate) fn start(&self, slot: u8, nonce: u8) -> Start {
        Start { slot, suite: Suite::CbcData, host_nonce: Octets([nonce; 16]), host_key: self.public() }
    }

    pub(crate) fn certify(&self, serial: &str, key: Point) -> MakerCertificate {
        let maker: [u8; 8] = Sha256::digest(self.public().0)[..8].try_into().unwrap();
        let signed = [
            &b"countersign maker certificate 1"[..],
            &[1],
            &maker,
            &sized(serial.as_bytes()),
            &sized(&key.0),
            &100u32.to_be_bytes(),
            &900u32.to_be_bytes(),
        ]
        .concat();
        MakerCertificate {
            maker: Octets(maker),
            serial: link::Serial::parse(serial).unwrap(),
            key,
            issued: 100,
            expires: 900,
            signature: self.sign(&signed),
        }
    }

    pub(crate) fn grant(&self, said: &Said, policy: [u8; 33]) -> Granted {
        let secret = core::array::from_fn(|i| self.seed ^ said.start.host_nonce.0[0] ^ (i as u8 * 11));
        let mut padded = [0; 32];
        padded[..20].copy_from_slice(&secret);
        self.grant_padded(said, policy, &padded, secret)
    }

    pub(crate) fn grant_padded(
        &self,
        said: &Said,
        policy: [u8; 33],
        padded: &[u8],
        secret: [u8; 20],
    ) -> Granted {
        let ephemeral = SecretKey::from_slice(&[self.seed ^ said.start.host_nonce.0[0] ^ 0x40; 32]).unwrap();
        let device = PublicKey::from_sec1_bytes(&said.challenge.device_ephemeral.0).unwrap();
        let shared = p256::ecdh::diffie_hellman(ephemeral.to_nonzero_scalar(), device.as_affine());
        let shared: [u8; 32] = (*shared.raw_secret_bytes()).into();
        let host_ephemeral = point(&ephemeral.public_key());
        let bound = [said.m1(), sized(&host_ephemeral.0), sized(&policy)].concat();
        let ctx = Sha256::digest(&bound);
        let derive = |label: &[u8]| cbc(&shared, Sha256::digest([label, &ctx[..]].concat()).into());
        let (kek, confirm) = (derive(b"kek"), derive(b"confirm"));
        let mut wrapped = vec![0; padded.len() + 8];
        aes_kw::KwAes256::new((&kek).into()).wrap_key(padded, &mut wrapped).unwrap();
        let grant = [bound, sized(&wrapped)].concat();
        let tag = |side: u8| -> [u8; 16] {
            let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(&confirm).unwrap();
            mac.update(&[&[side], &Sha256::digest(&grant)[..]].concat());
            mac.finalize().into_bytes()[..16].try_into().unwrap()
        };
        let install = Install {
            host_ephemeral,
            policy: Octets(policy),
            wrapped: wrapped.iter().copied().collect(),
            signature: self.sign(&[&b"countersign grant 1"[..], &grant].concat()),
        };
        Granted { install, secret, token_tag: tag(1), server_tag: tag(2) }
    }

    pub(crate) fn order(
        &self,
        label: &str,
        serial: &str,
        challenge: &Octets<16>,
        utc: Option<i64>,
    ) -> Octets<64> {
        let utc = utc.map_or(Vec::new(), |utc| utc.to_be_bytes().to_vec());
        self.sign(&[label.as_bytes(), &sized(serial.as_bytes()), &challenge.0, &utc].concat())
    }
}

/// RFC 4226 over SHA-1, six digits.
pub(crate) fn hotp(secret: &[u8], counter: u64) -> String {
    code(secret, &counter.to_be_bytes())
}

/// RFC 6287, OCRA-1:HOTP-SHA1-6:QN08.
pub(crate) fn ocra(secret: &[u8], question: u32) -> String {
    let hex = format!("{question:x}");
    let digits = format!("{hex:0<256}");
    let digits = digits.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    let mut input = b"OCRA-1:HOTP-SHA1-6:QN08\0".to_vec();
    input.extend(digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()));
    code(secret, &input)
}

fn code(secret: &[u8], message: &[u8]) -> String {
    let mut mac = <Hmac<sha1::Sha1> as hmac::KeyInit>::new_from_slice(secret).unwrap();
    mac.update(message);
    let mac = mac.finalize().into_bytes();
    let at = usize::from(mac[19] & 15);
    let number = u32::from_be_bytes(mac[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}
