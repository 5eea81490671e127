//! Texts by locale, with fallback (COMB-16, COMB-41): `de-ch`, then `de`, then the default locale's.

use std::collections::BTreeMap;

use thiserror::Error;

/// Longest text, in characters.
pub const TEXT_MAX: usize = 500;
/// Locales of one setting.
pub const LOCALES_MAX: usize = 64;
/// Longest locale, in bytes (BCP 47, as far as browsers send them).
const LOCALE_MAX: usize = 35;
/// Longest part of a locale, in bytes.
const SUBTAG_MAX: usize = 8;

/// Why a text cannot be kept under a locale.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum LocaleError {
    /// Not a locale's spelling.
    #[error("must be under a locale such as en or en-gb")]
    Spelling,
    /// Another spelling of the same locale has a text.
    #[error("this locale has a text already, in another spelling")]
    Twice,
    /// Too many.
    #[error("no more than {LOCALES_MAX} locales")]
    TooMany,
}

/// Texts by locale.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts(BTreeMap<String, String>);

/// A locale in one spelling: lower case, with dashes. None for what is no locale.
pub fn locale(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase().replace('_', "-");
    let subtag = |part: &str| {
        (1..=SUBTAG_MAX).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    let language = lower.split('-').next().unwrap_or_default();
    let alpha = language.len() >= 2 && language.bytes().all(|byte| byte.is_ascii_lowercase());
    (lower.len() <= LOCALE_MAX && alpha && lower.split('-').all(subtag)).then_some(lower)
}

/// Whether a text can stand beside a QR code.
pub(crate) fn check(text: &str) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err("must not be empty".to_owned());
    }
    if text.chars().count() > TEXT_MAX {
        return Err(format!("must not be longer than {TEXT_MAX} characters"));
    }
    if text.chars().any(|c| c.is_control() && c != '\n') {
        return Err("must not contain control characters but line feeds".to_owned());
    }
    Ok(())
}

impl Texts {
    /// Keeps a text under a locale.
    ///
    /// # Errors
    /// [`LocaleError`].
    pub fn add(&mut self, name: &str, text: &str) -> Result<(), LocaleError> {
        let locale = locale(name).ok_or(LocaleError::Spelling)?;
        if self.0.len() >= LOCALES_MAX {
            return Err(LocaleError::TooMany);
        }
        match self.0.insert(locale, text.to_owned()) {
            None => Ok(()),
            Some(_) => Err(LocaleError::Twice),
        }
    }

    /// The text for a person: in the wanted locale or the nearest that it is a case of, else in `default` likewise.
    /// None where the built-in text is to be shown.
    pub fn get(&self, wanted: &str, default: &str) -> Option<&str> {
        let chain = |text: &str| {
            let mut tag = locale(text);
            std::iter::from_fn(move || {
                let shorter =
                    tag.as_deref().and_then(|tag| tag.rsplit_once('-')).map(|(head, _)| head.to_owned());
                std::mem::replace(&mut tag, shorter)
            })
        };
        chain(wanted).chain(chain(default)).find_map(|tag| self.0.get(&tag)).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// COMB-16, D-62. Red when a person sees another language although theirs is there, or a fault instead of a text.
    #[test]
    fn the_nearest_locale_is_shown() {
        let mut texts = Texts::default();
        for (locale, text) in [("en", "Scan"), ("en-GB", "Do scan"), ("de_CH", "Scannen"), ("fr", "Scannez")]
        {
            texts.add(locale, text).unwrap();
        }
        for (wanted, default, shown) in [
            ("en-gb", "en", Some("Do scan")),
            ("EN_GB", "en", Some("Do scan")),
            ("en-us", "fr", Some("Scan")),
            ("en-gb-oxendict", "fr", Some("Do scan")),
            ("de-ch", "en", Some("Scannen")),
            ("de", "en", Some("Scan")),
            ("it", "fr-ch", Some("Scannez")),
            ("it", "rm", None),
            ("", "", None),
            ("../../etc", "en", Some("Scan")),
        ] {
            assert_eq!(texts.get(wanted, default), shown, "{wanted} {default}");
        }
        assert_eq!(Texts::default().get("en", "en"), None);
    }

    #[test]
    fn a_locale_has_one_spelling() {
        let mut texts = Texts::default();
        texts.add("en-gb", "a").unwrap();
        assert_eq!(texts.add("en_GB", "b"), Err(LocaleError::Twice));
        for bad in ["", "e", "12", "en-", "-en", "en--gb", "en gb", "en-ninechars", "é", &"en-gb".repeat(20)]
        {
            assert_eq!(texts.add(bad, "x"), Err(LocaleError::Spelling), "{bad}");
        }
    }

    #[test]
    fn a_text_can_be_read() {
        assert!(check("Scan\nthis").is_ok());
        for bad in ["", " \n", "a\u{7}", &"x".repeat(TEXT_MAX + 1)] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
    }
}
