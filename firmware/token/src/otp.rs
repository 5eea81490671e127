//! Codes from secrets: the MAC that `oath` leaves to whoever holds the key (RFC 2104).

use hmac::{Hmac, KeyInit as _, Mac as _};
use link::{Hash, Kind, Policy};
use oath::ocra::{Moving, QuestionLen, Suite};
use oath::{Algorithm, Code, CodeFormat, Digits, Period, TotpClock, Truncation};

/// The code of `secret` for a message: the parts, one after the other.
#[inline(never)]
pub(crate) fn code(algorithm: Algorithm, secret: &[u8], message: &[&[u8]], format: &CodeFormat) -> Code {
    macro_rules! mac {
        ($hash:ty) => {{
            let mut mac = Hmac::<$hash>::new_from_slice(secret).expect("HMAC takes a key of any length");
            message.iter().for_each(|part| mac.update(part));
            format.code(&mac.finalize().into_bytes())
        }};
    }
    match algorithm {
        Algorithm::Sha1 => mac!(sha1::Sha1),
        Algorithm::Sha256 => mac!(sha2::Sha256),
        Algorithm::Sha512 => mac!(sha2::Sha512),
    }
}

/// The hash of a policy.
pub(crate) const fn algorithm(policy: &Policy) -> Algorithm {
    match policy.hash {
        Hash::Sha1 => Algorithm::Sha1,
        Hash::Sha256 => Algorithm::Sha256,
        Hash::Sha512 => Algorithm::Sha512,
    }
}

/// The format of a policy; `None` if this token cannot make it.
pub(crate) fn format(policy: &Policy) -> Option<CodeFormat> {
    Some(CodeFormat {
        digits: Digits::new(policy.digits).ok()?,
        checksum: policy.checksum,
        truncation: Truncation::from_offset(policy.truncation.into()).ok()?,
    })
}

/// The time steps of a policy; `None` if it is not time-based.
pub(crate) fn totp_clock(policy: &Policy) -> Option<TotpClock> {
    Some(TotpClock { t0: policy.t0, period: Period::new(policy.period).ok()? })
}

/// The suite of a policy; `None` if it answers no questions.
pub(crate) fn suite(policy: &Policy) -> Option<Suite> {
    let len = u8::try_from(policy.period).ok().filter(|_| policy.kind == Kind::Ocra)?;
    Some(Suite {
        algorithm: algorithm(policy),
        digits: Digits::new(policy.digits).ok()?,
        question: QuestionLen::new(len).ok()?,
        moving: Moving::Nothing,
    })
}
