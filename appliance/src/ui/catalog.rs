//! Texts for people in their languages: Fluent catalogues, built in.
//!
//! A key of the documents, such as `enter-otp.error.invalid.otp`, is found under
//! `authenticator_sms_enter-otp_error_invalid_otp`; any other key under itself with `_` for `.`.

use std::sync::OnceLock;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource};

/// Languages, the first one where nothing else fits (D-62).
pub const LANGUAGES: [&str; 4] = ["en", "de", "fr", "it"];
const SOURCES: [&str; 4] = [
    include_str!("../../messages/en.ftl"),
    include_str!("../../messages/de.ftl"),
    include_str!("../../messages/fr.ftl"),
    include_str!("../../messages/it.ftl"),
];
const DOCUMENT_PREFIX: &str = "authenticator_sms_";

type Bundle = FluentBundle<FluentResource>;

fn bundles() -> &'static [Bundle] {
    static BUNDLES: OnceLock<Vec<Bundle>> = OnceLock::new();
    BUNDLES.get_or_init(|| LANGUAGES.iter().zip(SOURCES).map(|(lang, source)| bundle(lang, source)).collect())
}

fn bundle(lang: &str, source: &str) -> Bundle {
    let lang = lang.parse().expect("the built-in languages are language tags");
    let resource = FluentResource::try_new(source.to_owned()).expect("a test reads the built-in catalogues");
    let mut bundle = FluentBundle::new_concurrent(vec![lang]);
    // Marks around values would be typed into phones and pages.
    bundle.set_use_isolating(false);
    bundle.add_resource(resource).expect("a test finds ids that stand twice");
    bundle
}

/// The language of the catalogue that serves a tag best: `de-CH` is served by `de`.
pub fn serving(tag: &str) -> Option<&'static str> {
    let primary = tag.split(['-', '_']).next().unwrap_or_default();
    LANGUAGES.into_iter().find(|lang| lang.eq_ignore_ascii_case(primary))
}

/// The best language of an `Accept-Language` header (RFC 9110, 12.5.4), or the first of all.
pub fn accepted(header: &str) -> &'static str {
    let mut best = (0u16, LANGUAGES[0]);
    for part in header.split(',').take(16) {
        let mut pieces = part.trim().split(';');
        let tag = pieces.next().unwrap_or_default();
        let weight = pieces.find_map(|piece| piece.trim().strip_prefix("q=")).unwrap_or("1");
        let weight: f32 = weight.parse().unwrap_or(0.0);
        // Thousandths: what the header can express.
        let weight = (weight.clamp(0.0, 1.0) * 1000.0).round() as u16;
        if let Some(lang) = serving(tag)
            && weight > best.0
        {
            best = (weight, lang);
        }
    }
    best.1
}

/// The text of a key in a language, with values.
pub fn text(lang: &str, key: &str, values: &[(&str, &str)]) -> String {
    let id = key.replace('.', "_");
    let ids = [format!("{DOCUMENT_PREFIX}{id}"), id];
    let lang = serving(lang).unwrap_or(LANGUAGES[0]);
    let order = LANGUAGES.iter().position(|known| *known == lang).into_iter().chain([0]);
    let mut args = FluentArgs::new();
    for (name, value) in values {
        args.set(*name, *value);
    }
    for bundle in order.map(|n| &bundles()[n]) {
        for id in &ids {
            if let Some(pattern) = bundle.get_message(id).and_then(|message| message.value()) {
                return bundle.format_pattern(pattern, Some(&args), &mut Vec::new()).into_owned();
            }
        }
    }
    key.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn ids(source: &str) -> BTreeSet<&str> {
        source
            .lines()
            .filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()))
            .filter_map(|line| line.split(" =").next())
            .collect()
    }

    /// SMS-19: every text exists in every language, with the same values in it.
    #[test]
    fn the_languages_say_the_same() {
        let values = |source: &str, id: &str| -> BTreeSet<String> {
            let line = source.lines().find(|line| line.starts_with(&format!("{id} ="))).unwrap_or_default();
            line.split("{ $").skip(1).filter_map(|rest| rest.split(' ').next()).map(str::to_owned).collect()
        };
        for source in SOURCES {
            assert_eq!(ids(source), ids(SOURCES[0]));
            for id in ids(source) {
                assert_eq!(values(source, id), values(SOURCES[0], id), "{id}");
            }
        }
        assert_eq!(bundles().len(), LANGUAGES.len());
    }

    /// SMS-17, SMS-40: a document's key is found; a key that nobody knows shows itself.
    #[test]
    fn keys_are_found() {
        assert_eq!(text("de-CH", "enter-otp.error.invalid.otp", &[]), "Der Code ist nicht gültig.");
        assert_eq!(text("xx", "login.error.invalid", &[]), "User name or password is not right.");
        assert_eq!(text("en", "enter-otp.sms.sent.message", &[("code", "123456")]), "123456");
        assert_eq!(text("en", "nobody.knows", &[]), "nobody.knows");
    }

    /// D-62.
    #[test]
    fn the_browser_says_which_language() {
        assert_eq!(accepted("fr-CH, fr;q=0.9, en;q=0.8"), "fr");
        assert_eq!(accepted("ja, de;q=0.4, it;q=0.5"), "it");
        for header in ["", "ja", ";;q=,", "*", "de;q=0"] {
            assert_eq!(accepted(header), "en", "{header}");
        }
    }
}
