//! `otpauth://` URIs: what an authenticator app scans.
//!
//! Written with standard parameters only and unpadded Base32 (OATH-11); read with the tolerance that apps
//! show. The format is the one published with Google Authenticator ("Key Uri Format").

use data_encoding::BASE32_NOPAD;
use oath::Algorithm;
use thiserror::Error;
use zeroize::Zeroizing;

/// Longest URI that is read, in bytes.
pub const URI_MAX: usize = 2048;
/// Seconds of a step that every app counts in.
const COMPAT_PERIOD: u16 = 30;
/// Shortest secret, in bits (RFC 4226, R6).
const SECRET_BITS_MIN: usize = 128;

/// What a URI says. `secret` is the raw key.
pub struct OtpAuth {
    /// Whether codes move with time.
    pub totp: bool,
    /// Who issued the token, if said.
    pub issuer: Option<String>,
    /// Whose it is.
    pub account: String,
    /// The raw key.
    pub secret: Zeroizing<Vec<u8>>,
    /// Hash of the HMAC.
    pub algorithm: Algorithm,
    /// Digits of a code.
    pub digits: u8,
    /// Seconds a time step lasts.
    pub period: u16,
    /// First counter, for HOTP.
    pub counter: u64,
}

/// A text that is no usable URI.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum UriError {
    /// Too long to be one.
    #[error("the URI is longer than {URI_MAX} bytes")]
    TooLong,
    /// Another scheme or kind.
    #[error("the URI must begin with otpauth://totp/ or otpauth://hotp/")]
    Kind,
    /// A `%` not followed by two hex digits, or bytes that are no UTF-8.
    #[error("the URI is not correctly percent-encoded")]
    Encoding,
    /// No secret in it.
    #[error("the URI has no secret")]
    NoSecret,
    /// The same parameter twice.
    #[error("the URI has {0} twice")]
    Twice(String),
    /// A value outside what its parameter allows.
    #[error("the value of {0} in the URI is not usable")]
    Value(&'static str),
}

/// Decodes Base32 as people and apps write it: case, spaces, dashes and padding do not matter (RFC 4648 6).
///
/// # Errors
/// `None` when something else is in it.
pub fn decode_base32(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let clean: Zeroizing<String> = Zeroizing::new(
        text.trim_end_matches('=')
            .chars()
            .filter(|c| !matches!(c, ' ' | '-'))
            .map(|c| c.to_ascii_uppercase())
            .collect(),
    );
    BASE32_NOPAD.decode(clean.as_bytes()).ok().map(Zeroizing::new)
}

impl OtpAuth {
    /// Reads a URI.
    ///
    /// # Errors
    /// [`UriError`] names what is wrong.
    pub fn parse(uri: &str) -> Result<Self, UriError> {
        if uri.len() > URI_MAX {
            return Err(UriError::TooLong);
        }
        let (totp, rest) = match (uri.strip_prefix("otpauth://totp/"), uri.strip_prefix("otpauth://hotp/")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return Err(UriError::Kind),
        };
        let (label, query) = rest.split_once('?').ok_or(UriError::NoSecret)?;
        let label = percent_decode(label)?;
        let parameters = parameters(query)?;
        let get = |name: &str| parameters.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
        let number = |name: &'static str, default: u64| match get(name) {
            None => Ok(default),
            Some(text) => text.parse::<u64>().map_err(|_| UriError::Value(name)),
        };
        let (prefix, account) = match label.split_once(':') {
            Some((issuer, account)) => (Some(issuer.trim().to_owned()), account.trim().to_owned()),
            None => (None, label.trim().to_owned()),
        };
        let secret = get("secret").ok_or(UriError::NoSecret)?;
        let algorithm = match get("algorithm") {
            None => Algorithm::Sha1,
            Some(name) => {
                Algorithm::parse(&name.to_ascii_uppercase()).map_err(|_| UriError::Value("algorithm"))?
            }
        };
        Ok(OtpAuth {
            totp,
            issuer: get("issuer").map(str::to_owned).or(prefix),
            account,
            secret: decode_base32(secret).ok_or(UriError::Value("secret"))?,
            algorithm,
            digits: u8::try_from(number("digits", 6)?).map_err(|_| UriError::Value("digits"))?,
            period: u16::try_from(number("period", 30)?).map_err(|_| UriError::Value("period"))?,
            counter: number("counter", 0)?,
        })
    }

    /// What keeps a usual authenticator app from taking a URI, or from showing the right codes (OATH-11): anything but
    /// SHA-1, 6 digits and 30 seconds, a secret that is padded, not in capitals or shorter than 128 bits, and parameters
    /// that no app knows. Empty when every one takes it. No reason repeats the secret.
    pub fn incompatibilities(uri: &str) -> Vec<String> {
        let parsed = match Self::parse(uri) {
            Ok(parsed) => parsed,
            Err(error) => return vec![error.to_string()],
        };
        let mut reasons = Vec::new();
        let mut unless = |good: bool, reason: String| {
            if !good {
                reasons.push(reason);
            }
        };
        let sha1 = parsed.algorithm == Algorithm::Sha1;
        unless(sha1, format!("algorithm {}: apps that ignore it compute with SHA1", parsed.algorithm.name()));
        unless(parsed.digits == 6, format!("digits {}: apps that ignore it show 6", parsed.digits));
        let period = !parsed.totp || parsed.period == COMPAT_PERIOD;
        unless(period, format!("period {}: apps that ignore it count in 30 seconds", parsed.period));
        let bits = parsed.secret.len() * 8;
        unless(
            bits >= SECRET_BITS_MIN,
            format!("the secret has {bits} bits; it needs {SECRET_BITS_MIN} (RFC 4226, R6)"),
        );
        unless(!parsed.account.is_empty(), "the label names no account".to_owned());
        let query = uri.split_once('?').map_or("", |(_, query)| query);
        let known = ["secret", "issuer", "algorithm", "digits", "period", "counter"];
        for (name, value) in parameters(query).unwrap_or_default() {
            unless(known.contains(&name.as_str()), format!("{name} is no standard parameter"));
            let plain = BASE32_NOPAD.decode(value.as_bytes()).is_ok();
            unless(
                name != "secret" || plain,
                "the secret is not Base32 in capitals without padding".to_owned(),
            );
        }
        unless(parsed.totp || query.contains("counter="), "a hotp URI must have a counter".to_owned());
        reasons
    }

    /// Writes the URI. `:` in issuer or account would split the label in the wrong place in some apps and
    /// becomes `_`.
    pub fn to_uri(&self) -> Zeroizing<String> {
        let issuer = self.issuer.as_deref().unwrap_or_default().replace(':', "_");
        let account = self.account.replace(':', "_");
        let mut uri = Zeroizing::new(String::with_capacity(256));
        uri.push_str(if self.totp { "otpauth://totp/" } else { "otpauth://hotp/" });
        if !issuer.is_empty() {
            uri.push_str(&percent_encode(&issuer));
            uri.push(':');
        }
        uri.push_str(&percent_encode(&account));
        uri.push_str("?secret=");
        uri.push_str(&Zeroizing::new(BASE32_NOPAD.encode(&self.secret)));
        if !issuer.is_empty() {
            uri.push_str("&issuer=");
            uri.push_str(&percent_encode(&issuer));
        }
        if self.algorithm != Algorithm::Sha1 {
            uri.push_str("&algorithm=");
            uri.push_str(self.algorithm.name());
        }
        uri.push_str(&format!("&digits={}", self.digits));
        if self.totp {
            uri.push_str(&format!("&period={}", self.period));
        } else {
            uri.push_str(&format!("&counter={}", self.counter));
        }
        uri
    }
}

fn parameters(query: &str) -> Result<Vec<(String, Zeroizing<String>)>, UriError> {
    let mut seen: Vec<(String, Zeroizing<String>)> = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = percent_decode(name)?.to_ascii_lowercase();
        if seen.iter().any(|(n, _)| *n == name) {
            return Err(UriError::Twice(name));
        }
        seen.push((name, Zeroizing::new(percent_decode(value)?)));
    }
    Ok(seen)
}

/// Percent-encodes everything but RFC 3986 unreserved characters.
pub fn percent_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Undoes percent-encoding (RFC 3986 2.1).
///
/// # Errors
/// [`UriError::Encoding`] for a broken escape or bytes that are no UTF-8.
pub fn percent_decode(text: &str) -> Result<String, UriError> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut nibble = || char::from(bytes.next()?).to_digit(16);
        match (nibble(), nibble()) {
            (Some(high), Some(low)) => {
                out.push(u8::try_from(high << 4 | low).expect("two hex digits are one byte"));
            }
            _ => return Err(UriError::Encoding),
        }
    }
    String::from_utf8(out).map_err(|_| UriError::Encoding)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The shape that C.1 gives for a plain account.
    #[test]
    fn the_usual_account_is_written_with_standard_parameters_only() {
        let secret = decode_base32("BZDMDZWJEQ7RUK73HKU4CXQCTIQJ2VT5").unwrap();
        let uri = OtpAuth {
            totp: true,
            issuer: Some("Example Inc".to_owned()),
            account: "alice".to_owned(),
            secret,
            algorithm: Algorithm::Sha1,
            digits: 6,
            period: 30,
            counter: 0,
        };
        assert_eq!(
            *uri.to_uri(),
            "otpauth://totp/Example%20Inc:alice?secret=BZDMDZWJEQ7RUK73HKU4CXQCTIQJ2VT5\
             &issuer=Example%20Inc&digits=6&period=30"
        );
    }

    #[test]
    fn what_is_written_is_read_back() {
        let uri = OtpAuth {
            totp: false,
            issuer: Some("Zürich & Söhne".to_owned()),
            account: "bob@example.org".to_owned(),
            secret: Zeroizing::new(vec![1; 64]),
            algorithm: Algorithm::Sha512,
            digits: 8,
            period: 30,
            counter: 42,
        };
        let back = OtpAuth::parse(&uri.to_uri()).unwrap();
        assert_eq!((back.totp, back.digits, back.counter), (false, 8, 42));
        assert_eq!((back.issuer, back.account), (uri.issuer, uri.account));
        assert_eq!((back.secret, back.algorithm), (uri.secret, uri.algorithm));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let parse = |uri: &str| OtpAuth::parse(uri).err().unwrap();
        assert_eq!(parse("https://example.org"), UriError::Kind);
        assert_eq!(parse("otpauth://totp/a?digits=6"), UriError::NoSecret);
        assert_eq!(parse("otpauth://totp/a?secret=1"), UriError::Value("secret"));
        assert_eq!(parse("otpauth://totp/a?secret=AA&secret=BB"), UriError::Twice("secret".to_owned()));
        assert_eq!(parse("otpauth://totp/%zz?secret=AA"), UriError::Encoding);
        assert_eq!(parse("otpauth://totp/a?secret=MFRGG&digits=1000"), UriError::Value("digits"));
        assert_eq!(parse("otpauth://totp/a?secret=MFRGG&algorithm=MD5"), UriError::Value("algorithm"));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,80}") {
            let _unused = OtpAuth::parse(&format!("otpauth://totp/{text}"));
        }

        #[test]
        fn percent_encoding_round_trips(text in "\\PC{0,40}") {
            prop_assert_eq!(percent_decode(&percent_encode(&text)), Ok(text));
        }
    }
}
