//! The user's authenticator app: HOTP (RFC 4226) and TOTP (RFC 6238) in software, from what its camera sees.

use data_encoding::BASE32_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use oath::{CodeFormat, Digits, Truncation, moving_factor};
use sha1::Sha1;

/// One entry of the app.
pub(super) struct Authenticator {
    secret: String,
    key: Vec<u8>,
    format: CodeFormat,
    /// Length of a time step in seconds; none for HOTP.
    period: Option<u64>,
    counter: u64,
}

impl Authenticator {
    /// Scans a QR code's text; none for anything that such an app would not take.
    pub(super) fn scan(uri: &str) -> Option<Self> {
        let (kind, rest) = uri.strip_prefix("otpauth://")?.split_once('/')?;
        let (_, query) = rest.split_once('?')?;
        let field = |name: &str| {
            query.split('&').filter_map(|pair| pair.split_once('=')).find(|(n, _)| *n == name).map(|(_, v)| v)
        };
        if field("algorithm").is_some_and(|algorithm| algorithm != "SHA1") {
            return None;
        }
        let secret = field("secret")?.to_owned();
        let digits = Digits::new(field("digits").unwrap_or("6").parse().ok()?).ok()?;
        let period = match kind {
            "totp" => Some(field("period").unwrap_or("30").parse().ok().filter(|period| *period > 0)?),
            "hotp" => None,
            _ => return None,
        };
        Some(Authenticator {
            key: BASE32_NOPAD.decode(secret.as_bytes()).ok()?,
            secret,
            format: CodeFormat { digits, checksum: false, truncation: Truncation::Dynamic },
            period,
            counter: field("counter").unwrap_or("0").parse().ok()?,
        })
    }

    /// Takes a secret that was typed: a time-based entry as all apps make it.
    pub(super) fn typed(base32: &str) -> Option<Self> {
        let secret: String = base32.chars().filter(|c| !c.is_whitespace()).collect();
        Self::scan(&format!("otpauth://totp/typed?secret={secret}"))
    }

    /// The secret in Base32.
    pub(super) fn secret(&self) -> &str {
        &self.secret
    }

    /// The code for one counter or time step.
    pub(super) fn code(&self, factor: u64) -> String {
        let mut mac = Hmac::<Sha1>::new_from_slice(&self.key).expect("HMAC takes keys of any length");
        mac.update(&moving_factor(factor));
        self.format.code(&mac.finalize().into_bytes()).as_str().to_owned()
    }

    /// The time step at a time, and the seconds that are left of it.
    pub(super) fn step(&self, unix_seconds: u64) -> (u64, u64) {
        let period = self.period.unwrap_or(1);
        (unix_seconds / period, period - unix_seconds % period)
    }

    /// The code that the next press of the app's button shows.
    pub(super) fn press(&mut self) -> String {
        let code = self.code(self.counter);
        self.counter += 1;
        code
    }

    /// The codes around now: what a wrong code must not be by chance.
    pub(super) fn around(&self, unix_seconds: u64, reach: u64) -> Vec<String> {
        let middle = if self.period.is_some() { self.step(unix_seconds).0 } else { self.counter };
        (middle.saturating_sub(reach)..=middle + reach).map(|factor| self.code(factor)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4226 appendix D.
    #[test]
    fn it_shows_the_codes_of_the_standard() {
        let uri = "otpauth://hotp/x:y?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=x&digits=6&counter=0";
        let mut app = Authenticator::scan(uri).unwrap();
        assert_eq!([app.press(), app.press(), app.press()], ["755224", "287082", "359152"]);
    }

    #[test]
    fn it_takes_no_other_hash() {
        let uri = "otpauth://totp/x:y?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&algorithm=SHA256";
        assert!(Authenticator::scan(uri).is_none());
    }
}
