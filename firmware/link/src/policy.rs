//! What a secret is for: the fixed-width policy that the host signs and the token obeys.

use core::fmt;

/// Length of a policy in bytes.
pub const POLICY_LEN: usize = 33;

/// The shortest secret: 128 bits (RFC 4226 section 4, R6).
pub const SECRET_MIN: usize = 16;

/// The longest secret: one block of SHA-512.
pub const SECRET_MAX: usize = 128;

/// What the token makes a code of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A counter (RFC 4226).
    Hotp,
    /// The time (RFC 6238).
    Totp,
    /// A numeric question that a person types in (RFC 6287).
    Ocra,
}

/// The hash under the HMAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl Hash {
    /// The hash's block in bytes. A longer key would be hashed first, and the zero padding that wraps a secret
    /// would then change its MAC.
    pub const fn block_len(self) -> usize {
        match self {
            Self::Sha1 | Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }
}

/// The policy as signed. The ranges are those of the fields below; [`Policy::parse`] refuses others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Counter, time or question.
    pub kind: Kind,
    /// The hash under the HMAC.
    pub hash: Hash,
    /// 6 to 10.
    pub digits: u8,
    /// Whether a checksum digit follows; not for OCRA.
    pub checksum: bool,
    /// -1 for dynamic truncation, 0 to 15 for a fixed offset, which OCRA does not have.
    pub truncation: i8,
    /// The time step in seconds, 10 to 120; for OCRA the digits of a question, 4 to 10; 0 for HOTP.
    pub period: u16,
    /// The first HOTP counter; 0 for the others.
    pub counter0: u64,
    /// The beginning of time step 0 in Unix seconds; TOTP only, else 0.
    pub t0: i64,
    /// The host's time in Unix seconds when it signed; sets the token's clock.
    pub utc: i64,
    /// Length of the secret before padding: [`SECRET_MIN`] to the hash's block.
    pub secret_len: u16,
}

/// The bytes are not a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PolicyError;

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field of the policy is out of its range")
    }
}

impl core::error::Error for PolicyError {}

impl Policy {
    /// The fields in the order of the specification, big endian, fixed width.
    pub fn to_bytes(&self) -> [u8; POLICY_LEN] {
        let kind = match self.kind {
            Kind::Hotp => 1,
            Kind::Totp => 2,
            Kind::Ocra => 3,
        };
        let hash = match self.hash {
            Hash::Sha1 => 1,
            Hash::Sha256 => 2,
            Hash::Sha512 => 3,
        };
        let mut bytes = [0; POLICY_LEN];
        bytes[..5].copy_from_slice(&[kind, hash, self.digits, self.checksum.into(), self.truncation as u8]);
        bytes[5..7].copy_from_slice(&self.period.to_be_bytes());
        bytes[7..15].copy_from_slice(&self.counter0.to_be_bytes());
        bytes[15..23].copy_from_slice(&self.t0.to_be_bytes());
        bytes[23..31].copy_from_slice(&self.utc.to_be_bytes());
        bytes[31..].copy_from_slice(&self.secret_len.to_be_bytes());
        bytes
    }

    /// Reads and checks a policy.
    ///
    /// # Errors
    /// [`PolicyError`] if a field is out of its range.
    pub fn parse(bytes: &[u8; POLICY_LEN]) -> Result<Self, PolicyError> {
        fn field<const N: usize>(bytes: &[u8; POLICY_LEN], at: usize) -> [u8; N] {
            core::array::from_fn(|i| bytes[at + i])
        }
        let policy = Self {
            kind: match bytes[0] {
                1 => Kind::Hotp,
                2 => Kind::Totp,
                3 => Kind::Ocra,
                _ => return Err(PolicyError),
            },
            hash: match bytes[1] {
                1 => Hash::Sha1,
                2 => Hash::Sha256,
                3 => Hash::Sha512,
                _ => return Err(PolicyError),
            },
            digits: bytes[2],
            checksum: match bytes[3] {
                0 => false,
                1 => true,
                _ => return Err(PolicyError),
            },
            truncation: bytes[4] as i8,
            period: u16::from_be_bytes(field(bytes, 5)),
            counter0: u64::from_be_bytes(field(bytes, 7)),
            t0: i64::from_be_bytes(field(bytes, 15)),
            utc: i64::from_be_bytes(field(bytes, 23)),
            secret_len: u16::from_be_bytes(field(bytes, 31)),
        };
        if policy.in_range() { Ok(policy) } else { Err(PolicyError) }
    }

    fn in_range(&self) -> bool {
        let kind = match self.kind {
            Kind::Hotp => self.period == 0 && self.t0 == 0,
            Kind::Totp => (10..=120).contains(&self.period) && self.counter0 == 0,
            Kind::Ocra => {
                let plain = !self.checksum && self.truncation == -1;
                plain && (4..=10).contains(&self.period) && self.counter0 == 0 && self.t0 == 0
            }
        };
        kind && (6..=10).contains(&self.digits)
            && (-1..=15).contains(&self.truncation)
            && (SECRET_MIN..=self.hash.block_len()).contains(&usize::from(self.secret_len))
    }

    /// Length of the secret with its zero padding: 32, 64 or 128 bytes, the least that holds it.
    pub fn padded_len(&self) -> usize {
        match usize::from(self.secret_len) {
            0..=32 => 32,
            33..=64 => 64,
            _ => 128,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOTP: Policy = Policy {
        kind: Kind::Hotp,
        hash: Hash::Sha1,
        digits: 6,
        checksum: false,
        truncation: -1,
        period: 0,
        counter0: 7,
        t0: 0,
        utc: 1_800_000_000,
        secret_len: 20,
    };

    const OCRA: Policy = Policy { kind: Kind::Ocra, counter0: 0, period: 8, ..HOTP };

    #[test]
    fn layout_is_the_specification_s() {
        let mut expected = [0; POLICY_LEN];
        expected[..5].copy_from_slice(&[1, 1, 6, 0, 0xff]);
        expected[14] = 7;
        expected[23..31].copy_from_slice(&1_800_000_000i64.to_be_bytes());
        expected[32] = 20;
        assert_eq!(HOTP.to_bytes(), expected);
        assert_eq!(Policy::parse(&expected), Ok(HOTP));
        (expected[0], expected[6], expected[14]) = (3, 8, 0);
        assert_eq!(OCRA.to_bytes(), expected);
        assert_eq!(Policy::parse(&expected), Ok(OCRA));
    }

    #[test]
    fn fields_out_of_range_are_refused() {
        for wrong in [
            Policy { digits: 5, ..HOTP },
            Policy { digits: 11, ..HOTP },
            Policy { truncation: 16, ..HOTP },
            Policy { truncation: -2, ..HOTP },
            Policy { period: 30, ..HOTP },
            Policy { t0: 1, ..HOTP },
            Policy { kind: Kind::Totp, counter0: 0, period: 9, ..HOTP },
            Policy { kind: Kind::Totp, counter0: 0, period: 121, ..HOTP },
            Policy { kind: Kind::Totp, counter0: 1, period: 30, ..HOTP },
            Policy { period: 0, ..OCRA },
            Policy { period: 3, ..OCRA },
            Policy { period: 11, ..OCRA },
            Policy { period: 30, ..OCRA },
            Policy { checksum: true, ..OCRA },
            Policy { truncation: 0, ..OCRA },
            Policy { counter0: 1, ..OCRA },
            Policy { t0: 1, ..OCRA },
            Policy { digits: 5, ..OCRA },
            Policy { digits: 11, ..OCRA },
            Policy { secret_len: 65, ..OCRA },
            Policy { secret_len: 15, ..HOTP },
            Policy { secret_len: 65, ..HOTP },
            Policy { secret_len: 65, hash: Hash::Sha256, ..HOTP },
            Policy { secret_len: 129, hash: Hash::Sha512, ..HOTP },
        ] {
            assert_eq!(Policy::parse(&wrong.to_bytes()), Err(PolicyError), "{wrong:?}");
        }
        for (at, value) in [(0, 0), (0, 4), (1, 0), (1, 4), (3, 2)] {
            let mut bytes = HOTP.to_bytes();
            bytes[at] = value;
            assert_eq!(Policy::parse(&bytes), Err(PolicyError), "{at} {value}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_back(bytes: [u8; POLICY_LEN], kind in 1u8..=3, hash in 1u8..=3,
            digits in 6u8..=10, checksum in 0u8..=1, truncation in -1i8..=15, period in 10u16..=120,
            question in 4u16..=10, secret_len in 16u16..=64)
        {
            let mut bytes = bytes;
            bytes[..5].copy_from_slice(&[kind, hash, digits, checksum, truncation as u8]);
            if kind == 3 { bytes[3..5].copy_from_slice(&[0, 0xff]) }
            let period = [0, period, question][usize::from(kind - 1)];
            bytes[5..7].copy_from_slice(&period.to_be_bytes());
            if kind != 1 { bytes[7..15].fill(0) }
            if kind != 2 { bytes[15..23].fill(0) }
            bytes[31..].copy_from_slice(&secret_len.to_be_bytes());
            prop_assert_eq!(Policy::parse(&bytes).unwrap().to_bytes(), bytes);
        }
    }
}
