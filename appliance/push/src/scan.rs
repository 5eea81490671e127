//! Reads the URIs that [`crate::uri`] writes, as strictly as they are written: what a phone could read in two ways is
//! refused. This is no phone: those are tolerant, each in its own way.

use data_encoding::BASE32_NOPAD;
use domain::otpauth::percent_decode;
use oath::{Algorithm, Period};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::base64::{neutral, read_url_safe};
use crate::label::Logo;
use crate::message_id::{MessageId, Purpose};
use crate::uri::{AppDigits, AppFactor, OATH_SECRET_MAX, OATH_SECRET_MIN, URI_MAX};

/// What a URI registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Codes alone.
    OtpAuth,
    /// Push alone.
    PushAuth,
    /// Both.
    MfAuth,
}

/// What a URI says.
pub struct Scanned {
    /// What it registers.
    pub scheme: Scheme,
    /// Who issues it.
    pub issuer: String,
    /// Whose it is.
    pub account: String,
    /// Six digits, lower case.
    pub colour: Option<String>,
    /// The logo's address.
    pub image: Option<String>,
    /// The OATH half.
    pub oath: Option<ScannedOath>,
    /// The push half.
    pub push: Option<ScannedPush>,
}

/// The OATH half.
pub struct ScannedOath {
    /// The raw key.
    pub secret: Zeroizing<Vec<u8>>,
    /// What codes move with.
    pub factor: AppFactor,
    /// Hash of the HMAC.
    pub algorithm: Algorithm,
    /// Digits of a code.
    pub digits: AppDigits,
}

/// The push half.
pub struct ScannedPush {
    /// The raw key.
    pub secret: Zeroizing<[u8; 32]>,
    /// What the reply must be computed from.
    pub challenge: [u8; 32],
    /// Where the phone registers.
    pub register: String,
    /// Where the phone answers.
    pub authenticate: String,
    /// The name of the registration.
    pub message: MessageId,
    /// JSON of the policies.
    pub policies: Option<String>,
}

/// Why a text is no such URI.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ScanError {
    /// Too long to be one.
    #[error("the URI is longer than {URI_MAX} bytes")]
    TooLong,
    /// Another scheme, or a kind that does not belong to it.
    #[error("the URI must begin with mfauth://totp/, pushauth://push/, otpauth://totp/ or the like")]
    Kind,
    /// A character that a strict reader of URIs refuses (C.1.1, 4).
    #[error("the URI has a character that stands in no URI")]
    Character,
    /// The label is not `issuer:account`, or its issuer is not the parameter's (C.1.1, 2).
    #[error("the label of the URI must be the issuer, one colon and the account")]
    Label,
    /// A parameter that does not belong here, or is there twice.
    #[error("the URI has {0} twice, or where it does not belong")]
    Surplus(String),
    /// A parameter is missing.
    #[error("the URI has no {0}")]
    Missing(&'static str),
    /// A value outside what its parameter allows.
    #[error("the value of {0} in the URI is not usable")]
    Value(&'static str),
}

struct Parameters<'a> {
    left: Vec<(&'a str, &'a str)>,
}

impl<'a> Parameters<'a> {
    fn split(query: &'a str) -> Result<Self, ScanError> {
        let mut left: Vec<(&str, &str)> = Vec::new();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').ok_or_else(|| ScanError::Surplus(pair.to_owned()))?;
            if left.iter().any(|(seen, _)| *seen == name) {
                return Err(ScanError::Surplus(name.to_owned()));
            }
            left.push((name, value));
        }
        Ok(Parameters { left })
    }

    fn take(&mut self, name: &str) -> Option<&'a str> {
        let at = self.left.iter().position(|(own, _)| *own == name)?;
        Some(self.left.swap_remove(at).1)
    }

    fn must(&mut self, name: &'static str) -> Result<&'a str, ScanError> {
        self.take(name).ok_or(ScanError::Missing(name))
    }

    /// 32 bytes that every SDK reads in the URL-safe alphabet.
    fn key(&mut self, name: &'static str) -> Result<Zeroizing<[u8; 32]>, ScanError> {
        let bytes = read_url_safe(self.must(name)?).ok_or(ScanError::Value(name))?;
        bytes.as_slice().try_into().map(Zeroizing::new).map_err(|_| ScanError::Value(name))
    }

    /// Text that every SDK reads in the URL-safe alphabet.
    fn url_text(&mut self, name: &'static str) -> Result<String, ScanError> {
        text(name, self.must(name)?)
    }
}

fn text(name: &'static str, value: &str) -> Result<String, ScanError> {
    let bytes = read_url_safe(value).ok_or(ScanError::Value(name))?;
    String::from_utf8(bytes.to_vec()).map_err(|_| ScanError::Value(name))
}

/// Text in an encoding that both alphabets share (C.1.1, 1).
fn neutral_text(name: &'static str, value: &str) -> Result<String, ScanError> {
    let text = text(name, value)?;
    neutral(text.as_bytes()).map(|_| text).ok_or(ScanError::Value(name))
}

impl Scanned {
    /// Reads a URI.
    ///
    /// # Errors
    /// [`ScanError`] names the first thing that a phone could stumble over.
    pub fn parse(uri: &str) -> Result<Self, ScanError> {
        if uri.len() > URI_MAX {
            return Err(ScanError::TooLong);
        }
        if !uri.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~:/?&=%".contains(&byte)) {
            return Err(ScanError::Character);
        }
        let (scheme, rest) = uri.split_once("://").ok_or(ScanError::Kind)?;
        let (kind, rest) = rest.split_once('/').ok_or(ScanError::Kind)?;
        let (scheme, totp) = match (scheme, kind) {
            ("otpauth", "totp" | "hotp") => (Scheme::OtpAuth, kind == "totp"),
            ("mfauth", "totp" | "hotp") => (Scheme::MfAuth, kind == "totp"),
            ("pushauth", "push") => (Scheme::PushAuth, false),
            _ => return Err(ScanError::Kind),
        };
        let (label, query) = rest.split_once('?').ok_or(ScanError::Kind)?;
        let mut parameters = Parameters::split(query)?;
        let issuer = parameters.must("issuer")?;
        let issuer = match scheme {
            Scheme::OtpAuth => percent_decode(issuer).map_err(|_| ScanError::Value("issuer"))?,
            Scheme::PushAuth | Scheme::MfAuth => neutral_text("issuer", issuer)?,
        };
        let account = account(label, &issuer)?;
        let scanned = Scanned {
            scheme,
            issuer,
            account,
            colour: parameters.take("b").map(colour).transpose()?,
            image: image(scheme, &mut parameters)?,
            oath: match scheme {
                Scheme::PushAuth => None,
                Scheme::OtpAuth | Scheme::MfAuth => Some(ScannedOath::take(totp, &mut parameters)?),
            },
            push: match scheme {
                Scheme::OtpAuth => None,
                Scheme::PushAuth | Scheme::MfAuth => Some(ScannedPush::take(&mut parameters)?),
            },
        };
        match parameters.left.first() {
            None => Ok(scanned),
            Some((name, _)) => Err(ScanError::Surplus((*name).to_owned())),
        }
    }
}

fn account(label: &str, issuer: &str) -> Result<String, ScanError> {
    let (prefix, account) = label.split_once(':').ok_or(ScanError::Label)?;
    let decode = |part: &str| percent_decode(part).map_err(|_| ScanError::Label);
    let (prefix, account) = (decode(prefix)?, decode(account)?);
    let good = prefix == issuer && !prefix.contains(':') && !account.contains(':') && !account.is_empty();
    good.then_some(account).ok_or(ScanError::Label)
}

fn colour(value: &str) -> Result<String, ScanError> {
    let good =
        value.len() == 6 && value.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    good.then(|| value.to_owned()).ok_or(ScanError::Value("b"))
}

fn image(scheme: Scheme, parameters: &mut Parameters<'_>) -> Result<Option<String>, ScanError> {
    let Some(value) = parameters.take("image") else { return Ok(None) };
    let url = match scheme {
        Scheme::PushAuth => neutral_text("image", value)?,
        Scheme::OtpAuth | Scheme::MfAuth => value.to_owned(),
    };
    if Logo::parse(&url).is_ok() { Ok(Some(url)) } else { Err(ScanError::Value("image")) }
}

impl ScannedOath {
    fn take(totp: bool, parameters: &mut Parameters<'_>) -> Result<Self, ScanError> {
        let secret = parameters.must("secret")?;
        let secret = BASE32_NOPAD.decode(secret.as_bytes()).map_err(|_| ScanError::Value("secret"))?;
        let secret = Zeroizing::new(secret);
        if !(OATH_SECRET_MIN..=OATH_SECRET_MAX).contains(&secret.len()) {
            return Err(ScanError::Value("secret"));
        }
        let algorithm = match parameters.take("algorithm") {
            None => Algorithm::Sha1,
            Some(name) => Algorithm::ALL
                .into_iter()
                .find(|algorithm| algorithm.name() == name && *algorithm != Algorithm::Sha1 && totp)
                .ok_or(ScanError::Value("algorithm"))?,
        };
        let digits = parameters.must("digits")?.parse().ok().and_then(AppDigits::new);
        let factor = if totp {
            let period = parameters.must("period")?.parse().ok().and_then(|n| Period::new(n).ok());
            AppFactor::Totp(period.ok_or(ScanError::Value("period"))?)
        } else {
            AppFactor::Hotp(parameters.must("counter")?.parse().map_err(|_| ScanError::Value("counter"))?)
        };
        Ok(ScannedOath { secret, factor, algorithm, digits: digits.ok_or(ScanError::Value("digits"))? })
    }
}

impl ScannedPush {
    fn take(parameters: &mut Parameters<'_>) -> Result<Self, ScanError> {
        let (register, authenticate) = (parameters.url_text("r")?, parameters.url_text("a")?);
        let base = register.strip_suffix("?_action=register").ok_or(ScanError::Value("r"))?;
        if authenticate.strip_suffix("?_action=authenticate") != Some(base) || base.contains('?') {
            return Err(ScanError::Value("a"));
        }
        if let Some(cookie) = parameters.take("l") {
            neutral_text("l", cookie)?;
        }
        Ok(ScannedPush {
            secret: parameters.key("s")?,
            challenge: *parameters.key("c")?,
            message: MessageId::parse(Purpose::Register, parameters.must("m")?)
                .ok_or(ScanError::Value("m"))?,
            policies: parameters.take("policies").map(|value| neutral_text("policies", value)).transpose()?,
            register,
            authenticate,
        })
    }
}
