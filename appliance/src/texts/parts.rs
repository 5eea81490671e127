//! How many parts a text message takes (SMS-45, D-65).

use modem::pdu::{Number, PduError, SubmitOptions, submit};

use super::Catalog;
use crate::config::Config;

/// Parts from which on a message costs more than it should.
pub const PARTS_GOOD: usize = 1;
/// Parts that a message has at the most.
pub const PARTS_MAX: usize = 3;
/// Any number: parts do not depend on it.
const ANY_NUMBER: &str = "+41790000001";
/// A masked number, in a notice.
const ANY_MASKED: &str = "...0001";
/// As long as the token of a link.
const ANY_LINK_TOKEN: &str = "0000000000000000000000";

/// Size of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Size {
    /// Characters.
    pub characters: usize,
    /// Alphabet of its parts: `gsm7` or `ucs2`.
    pub alphabet: String,
    /// Parts.
    pub parts: usize,
}

/// Counts the parts of a text.
///
/// # Errors
/// When it cannot be a message at all.
pub fn size(text: &str) -> Result<Size, PduError> {
    let number = Number::parse(ANY_NUMBER).expect("the number above is one");
    let tpdus = submit(&number, text, &SubmitOptions::default())?;
    let alphabet = tpdus.first().map_or_else(String::new, |tpdu| tpdu.alphabet.to_string());
    Ok(Size { characters: text.chars().count(), alphabet, parts: tpdus.len() })
}

/// What is wrong with a text that takes too many parts.
pub fn too_long(text: &str) -> Option<String> {
    match size(text) {
        Ok(size) if size.parts <= PARTS_MAX => None,
        Ok(size) => Some(format!("takes {} text messages, and may take {PARTS_MAX}: shorten it", size.parts)),
        Err(error) => Some(format!("cannot be a text message: {error}")),
    }
}

/// Every text message of the catalogue in a language, by key, with values as long as they get.
pub fn messages(config: &Config, texts: &Catalog, lang: &str) -> Vec<(&'static str, String)> {
    let own = config.people.authenticators.iter().map(|own| own.otp_length);
    let code = any_code(own.fold(config.terms.digits, u8::max));
    let with_code =
        |key: &'static str, code: &str| (key, filled(&texts.text(lang, key, &[("code", "%s")]), code));
    let mut messages = vec![
        with_code("enter-otp.sms.sent.message", &code),
        ("notice-old-number", texts.text(lang, "notice-old-number", &[("new", ANY_MASKED)])),
        ("notice-new-number", texts.text(lang, "notice-new-number", &[("old", ANY_MASKED)])),
        ("test-message", texts.text(lang, "test-message", &[])),
        ("enrol-notice-active", texts.text(lang, "enrol-notice-active", &[])),
        ("enrol-notice-rejected", texts.text(lang, "enrol-notice-rejected", &[])),
        ("enrol-notice-code", texts.text(lang, "enrol-notice-code", &[])),
    ];
    if let Some(url) = &config.people.pages.public_url {
        messages.push(with_code("link-wait.sms.sent.message", &format!("{url}/ui/l/{ANY_LINK_TOKEN}")));
    }
    messages
}

/// The general text (`sms.message`) with a code of so many digits.
pub fn general(template: &str, digits: u8) -> String {
    filled(template, &any_code(digits))
}

fn any_code(digits: u8) -> String {
    "0".repeat(usize::from(digits))
}

fn filled(template: &str, code: &str) -> String {
    String::from_utf8_lossy(&super::fill(template, code.as_bytes())).into_owned()
}

#[cfg(test)]
mod tests {
    use super::super::LANGUAGES;
    use super::*;

    const CONFIG: &str = r#"
state_dir = "/var/lib/countersign"
public_url = "https://login.example.org"
[hsm]
module = "/usr/lib/softhsm/libsofthsm2.so"
token_label = "countersign"
pin_file = "/etc/countersign/hsm-pin"
[[listen]]
kind = "unix"
address = "/run/countersign/api.sock"
[sms]
otp_length = 10
"#;

    /// D-65, MOB-37, SMS-45: every text message that ships is written in the GSM 7 bit alphabet and takes one part, with
    /// the longest code, a link, a masked number. Red when a masked number, or a translation, has a character that the
    /// alphabet does not.
    #[test]
    fn what_ships_takes_one_part() {
        let config = crate::config::parse(CONFIG).unwrap();
        let number = domain::phone::Msisdn::parse("+41790000001").unwrap();
        assert_eq!(number.masked_in_sms(), ANY_MASKED);
        for lang in LANGUAGES {
            let messages = messages(&config, &config.texts, lang);
            assert_eq!(messages.len(), 8);
            for (key, text) in messages {
                let size = size(&text).unwrap();
                assert_eq!((size.alphabet.as_str(), size.parts), ("gsm7", 1), "{key} in {lang}: {text}");
            }
        }
    }

    /// SMS-45: three parts pass, four do not.
    #[test]
    fn four_parts_are_too_many() {
        assert_eq!(too_long(&"x".repeat(459)), None);
        assert!(too_long(&"x".repeat(460)).is_some_and(|text| text.contains("takes 4")));
        assert!(too_long(&"ж".repeat(202)).is_some());
        assert_eq!(size("ж").unwrap().alphabet, "ucs2");
        assert_eq!(general("100%% %s", 6), "100% 000000");
    }
}
