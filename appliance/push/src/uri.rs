//! The URIs of C.1 that a phone scans: `otpauth`, `pushauth`, and `mfauth` for both at once (COMB-01 to COMB-03).
//!
//! `otpauth` is Google Authenticator's "Key Uri Format" with two parameters more; the others are of the ForgeRock and
//! Ping SDKs. Parameters stand in a fixed order, so that a URI can be compared as text. Everything is ASCII and valid
//! for a strict reader of RFC 3986 (C.1.1, 4).

use data_encoding::BASE32_NOPAD;
use domain::otpauth::percent_encode;
use oath::{Algorithm, Period};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::base64::{neutral, url_safe};
use crate::label::{Account, Colour, Endpoint, Issuer, Logo};
use crate::message_id::MessageId;
use crate::policies::Policies;

/// Longest URI, in bytes: what a QR code of level L still shows well on a screen.
pub const URI_MAX: usize = 1_600;
/// Shortest OATH secret, in bytes (COMB-19).
pub const OATH_SECRET_MIN: usize = 16;
/// Longest OATH secret, in bytes: the block of SHA-1 and SHA-256.
pub const OATH_SECRET_MAX: usize = 64;
/// The cookie of a load balancer that iOS demands; there is none (C.3).
pub(crate) const COOKIE: &[u8] = b"amlbcookie=01";

/// Why there is no URI for what was asked.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum UriError {
    /// A secret outside [`OATH_SECRET_MIN`] to [`OATH_SECRET_MAX`] bytes.
    #[error("the OATH secret must have {OATH_SECRET_MIN} to {OATH_SECRET_MAX} bytes")]
    Secret,
    /// HOTP with another hash than SHA-1: no app computes it (D-30).
    #[error("apps compute HOTP with SHA1 alone")]
    HotpHash,
    /// The URI would not fit into a QR code that can be scanned.
    #[error("the URI is longer than {URI_MAX} bytes")]
    TooLong,
}

/// What the account looks like in the app.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// Who issues it.
    pub issuer: &'a Issuer,
    /// Whose it is.
    pub account: &'a Account,
    /// The colour behind the logo.
    pub colour: Option<&'a Colour>,
    /// The logo.
    pub logo: Option<&'a Logo>,
}

/// How many digits an app shows: no app knows another number (C.1.1, 5; D-31).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppDigits {
    /// Six.
    Six,
    /// Eight.
    Eight,
}

impl AppDigits {
    /// The number; none for one that apps do not know.
    pub fn new(digits: u8) -> Option<Self> {
        match digits {
            6 => Some(AppDigits::Six),
            8 => Some(AppDigits::Eight),
            _ => None,
        }
    }

    /// The number.
    pub fn get(self) -> u8 {
        match self {
            AppDigits::Six => 6,
            AppDigits::Eight => 8,
        }
    }
}

/// What an app's codes move with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppFactor {
    /// Time, in steps (RFC 6238).
    Totp(Period),
    /// A counter; the first one (RFC 4226).
    Hotp(u64),
}

/// The OATH half.
#[derive(Clone, Copy)]
pub struct Oath<'a> {
    /// The raw key.
    pub secret: &'a [u8],
    /// What codes move with.
    pub factor: AppFactor,
    /// Hash of the HMAC.
    pub algorithm: Algorithm,
    /// Digits of a code.
    pub digits: AppDigits,
}

/// The push half.
#[derive(Clone, Copy)]
pub struct Push<'a> {
    /// The raw key of every later message.
    pub secret: &'a [u8; 32],
    /// What the reply must be computed from.
    pub challenge: &'a [u8; 32],
    /// Where the phone answers.
    pub endpoint: &'a Endpoint,
    /// The name of this registration.
    pub message: &'a MessageId,
    /// What the phone must satisfy.
    pub policies: Option<&'a Policies>,
}

/// Push and OATH in one (COMB-03).
///
/// # Errors
/// [`UriError`] where no app could use it.
pub fn mfauth(look: &Look<'_>, oath: &Oath<'_>, push: &Push<'_>) -> Result<Zeroizing<String>, UriError> {
    let mut uri = Text::new("mfauth", factor_name(oath), look);
    uri.push_half(push, look, look.logo.map(Logo::as_str));
    uri.pair("issuer", &neutral_issuer(look));
    uri.code(oath)?;
    uri.pair("secret", &base32(oath)?);
    uri.finish()
}

/// Push alone (COMB-02).
///
/// # Errors
/// [`UriError::TooLong`].
pub fn pushauth(look: &Look<'_>, push: &Push<'_>) -> Result<Zeroizing<String>, UriError> {
    let mut uri = Text::new("pushauth", "push", look);
    // Here, and only here, the address is in Base64 (C.1).
    let image = look.logo.map(|logo| {
        neutral(logo.as_str().as_bytes()).expect("a logo's characters are neutral wherever they stand")
    });
    uri.push_half(push, look, image.as_deref());
    uri.pair("issuer", &neutral_issuer(look));
    uri.finish()
}

/// OATH alone (COMB-02). The issuer is plain here.
///
/// # Errors
/// [`UriError`] where no app could use it.
pub fn otpauth(look: &Look<'_>, oath: &Oath<'_>) -> Result<Zeroizing<String>, UriError> {
    let mut uri = Text::new("otpauth", factor_name(oath), look);
    uri.pair("secret", &base32(oath)?);
    uri.pair("issuer", &percent_encode(look.issuer.as_str()));
    uri.code(oath)?;
    uri.optional("b", look.colour.map(Colour::as_str));
    uri.optional("image", look.logo.map(Logo::as_str));
    uri.finish()
}

fn factor_name(oath: &Oath<'_>) -> &'static str {
    match oath.factor {
        AppFactor::Totp(_) => "totp",
        AppFactor::Hotp(_) => "hotp",
    }
}

fn neutral_issuer(look: &Look<'_>) -> String {
    neutral(look.issuer.as_str().as_bytes()).expect("an issuer is neutral, or it is none")
}

fn base32(oath: &Oath<'_>) -> Result<Zeroizing<String>, UriError> {
    let good = (OATH_SECRET_MIN..=OATH_SECRET_MAX).contains(&oath.secret.len());
    if good { Ok(Zeroizing::new(BASE32_NOPAD.encode(oath.secret))) } else { Err(UriError::Secret) }
}

/// A URI as it grows. Its room is taken at once: growing would leave secrets behind.
struct Text {
    uri: Zeroizing<String>,
    fits: bool,
    separator: char,
}

impl Text {
    fn new(scheme: &str, host: &str, look: &Look<'_>) -> Self {
        let mut uri = Zeroizing::new(String::with_capacity(URI_MAX));
        let (issuer, account) = (percent_encode(look.issuer.as_str()), percent_encode(look.account.as_str()));
        for part in [scheme, "://", host, "/", &issuer, ":", &account] {
            uri.push_str(part);
        }
        Text { fits: uri.len() <= URI_MAX, uri, separator: '?' }
    }

    fn pair(&mut self, name: &str, value: &str) {
        self.fits &= self.uri.len() + name.len() + value.len() + 2 <= URI_MAX;
        if self.fits {
            self.uri.push(self.separator);
            self.separator = '&';
            self.uri.push_str(name);
            self.uri.push('=');
            self.uri.push_str(value);
        }
    }

    fn optional(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.pair(name, value);
        }
    }

    fn push_half(&mut self, push: &Push<'_>, look: &Look<'_>, image: Option<&str>) {
        self.pair("a", &url_safe(push.endpoint.authenticate().as_bytes()));
        self.optional("image", image);
        self.optional("b", look.colour.map(Colour::as_str));
        self.pair("r", &url_safe(push.endpoint.register().as_bytes()));
        self.pair("s", &url_safe(push.secret));
        self.pair("c", &url_safe(push.challenge));
        self.pair("l", &url_safe(COOKIE));
        self.pair("m", push.message.as_str());
        self.optional("policies", push.policies.map(Policies::encoded).as_deref());
    }

    fn code(&mut self, oath: &Oath<'_>) -> Result<(), UriError> {
        if oath.algorithm != Algorithm::Sha1 {
            if matches!(oath.factor, AppFactor::Hotp(_)) {
                return Err(UriError::HotpHash);
            }
            self.pair("algorithm", oath.algorithm.name());
        }
        self.pair("digits", &oath.digits.get().to_string());
        match oath.factor {
            AppFactor::Totp(period) => self.pair("period", &period.get().to_string()),
            AppFactor::Hotp(counter) => self.pair("counter", &counter.to_string()),
        }
        Ok(())
    }

    fn finish(self) -> Result<Zeroizing<String>, UriError> {
        if self.fits { Ok(self.uri) } else { Err(UriError::TooLong) }
    }
}
