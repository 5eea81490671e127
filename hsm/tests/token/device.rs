//! A hardware token in software, written from docs/provisioning.md alone: the judge of what the HSM makes.

use aes::Aes256;
use aes::cipher::{Array, BlockCipherEncrypt, KeyInit as _};
use aes_kw::KwAes256;
use hmac::{Hmac, Mac};
use hsm::{Hash, Hsm, Provision, Provisioned, SignKey};
use p256::SecretKey;
use p256::ecdh::diffie_hellman;
use p256::ecdsa::signature::{Signer, Verifier};
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

use crate::rig::BINDING;

/// HOTP, SHA-1, 6 digits, no checksum, dynamic truncation, no period; counter 0, both times 0; 32 bytes.
pub(crate) const POLICY: [u8; 33] = {
    let mut policy = [0; 33];
    (policy[0], policy[1], policy[2], policy[4], policy[32]) = (1, 1, 6, 0xff, 32);
    policy
};

/// A token in the middle of an exchange.
pub(crate) struct Device {
    attestation: SigningKey,
    ephemeral: SecretKey,
    host: [u8; 65],
    pub(crate) m1: Vec<u8>,
}

/// A private key from the HSM's random generator, which is as good as any.
pub(crate) fn private_key(hsm: &Hsm) -> SecretKey {
    SecretKey::from_slice(&hsm.random(32).expect("up")).expect("below the order, but for 2^-32")
}

pub(crate) fn point(key: &SecretKey) -> [u8; 65] {
    uncompressed(SigningKey::from(key).verifying_key())
}

fn uncompressed(key: &VerifyingKey) -> [u8; 65] {
    key.to_sec1_point(false).as_bytes().try_into().expect("65 bytes")
}

/// A field after its length.
fn l(field: &[u8]) -> Vec<u8> {
    [&u32::try_from(field.len()).expect("short").to_be_bytes(), field].concat()
}

impl Device {
    /// Has pinned the host's key, and has just made its ephemeral key.
    pub(crate) fn new(hsm: &Hsm) -> Device {
        let (attestation, ephemeral) = (private_key(hsm), private_key(hsm));
        let host = hsm.public_key(SignKey::Host).expect("a token with this key");
        let m1 = Device::m1(2, &host, &point(&ephemeral));
        Device { attestation: attestation.into(), ephemeral, host, m1 }
    }

    pub(crate) fn m1(suite: u8, host: &[u8; 65], ephemeral: &[u8]) -> Vec<u8> {
        [
            b"countersign provisioning 1".as_slice(),
            &[suite],
            &l(b"CT-000042"),
            &[0],
            &1u32.to_be_bytes(),
            &[0x11; 16],
            &[0x22; 16],
            &l(host),
            &l(ephemeral),
        ]
        .concat()
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        let signature: Signature = self.attestation.sign(message);
        signature.to_bytes().into()
    }

    /// What an honest host asks of the HSM after an honest challenge.
    pub(crate) fn request(&self, hash: Hash, secret_len: usize) -> Provision {
        Provision {
            attestation: uncompressed(self.attestation.verifying_key()),
            signed: self.m1.clone(),
            signature: self.sign(&self.m1),
            device_ephemeral: point(&self.ephemeral),
            policy: POLICY.to_vec(),
            secret_len,
            hash,
            binding: BINDING.into(),
            state: b"s0".into(),
            suite: 2,
        }
    }

    /// What the host signs, without the label.
    pub(crate) fn grant(&self, provisioned: &Provisioned, policy: &[u8]) -> Vec<u8> {
        [self.m1.clone(), l(&provisioned.host_ephemeral), l(policy), l(&provisioned.wrapped)].concat()
    }

    /// Whether the pinned key has signed the grant.
    pub(crate) fn accepts(&self, grant: &[u8], signature: &[u8; 64]) -> bool {
        let host = VerifyingKey::from_sec1_bytes(&self.host).expect("pinned");
        let signature = Signature::from_slice(signature).expect("64 bytes");
        host.verify(&[b"countersign grant 1", grant].concat(), &signature).is_ok()
    }

    /// KEK or K_c.
    fn key(&self, label: &[u8], host_ephemeral: &[u8; 65], policy: &[u8]) -> [u8; 32] {
        let theirs = p256::PublicKey::from_sec1_bytes(host_ephemeral).expect("on the curve");
        let shared = diffie_hellman(self.ephemeral.to_nonzero_scalar(), theirs.as_affine());
        let context = Sha256::digest([self.m1.clone(), l(host_ephemeral), l(policy)].concat());
        let data = Sha256::digest([label, context.as_slice()].concat());
        let cipher = Aes256::new(shared.raw_secret_bytes());
        let mut key = [0; 32];
        let mut last = [0; 16];
        for (from, to) in data.chunks(16).zip(key.chunks_mut(16)) {
            let mut block = Array::from(std::array::from_fn::<u8, 16, _>(|at| from[at] ^ last[at]));
            cipher.encrypt_block(&mut block);
            last = block.into();
            to.copy_from_slice(&last);
        }
        key
    }

    /// The secret, if what was wrapped is whole under the key of this policy.
    pub(crate) fn unwrap(&self, provisioned: &Provisioned, policy: &[u8]) -> Option<Vec<u8>> {
        let kek = KwAes256::new(&self.key(b"kek", &provisioned.host_ephemeral, policy).into());
        let mut buffer = [0; 128];
        kek.unwrap_key(&provisioned.wrapped, &mut buffer).ok().map(<[u8]>::to_vec)
    }

    /// The confirmation of one side: 1 is the token's, 2 the host's.
    pub(crate) fn tag(&self, provisioned: &Provisioned, policy: &[u8], side: u8) -> [u8; 16] {
        let key = self.key(b"confirm", &provisioned.host_ephemeral, policy);
        let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(&key).expect("any length");
        mac.update(&confirmed(side, &self.grant(provisioned, policy)));
        mac.finalize().into_bytes()[..16].try_into().expect("of 32")
    }
}

/// What the confirmation of a side is over.
pub(crate) fn confirmed(side: u8, grant: &[u8]) -> Vec<u8> {
    [&[side], Sha256::digest(grant).as_slice()].concat()
}
