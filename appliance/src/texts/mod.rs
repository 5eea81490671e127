//! Texts for people in their languages: Fluent catalogues, built in, and the operator's own over them (SMS-19, D-62).
//!
//! A key of the documents, such as `enter-otp.error.invalid.otp`, is found under
//! `authenticator_sms_enter-otp_error_invalid_otp`; any other key under itself with `_` for `.`.

use std::fmt;
use std::sync::{Arc, OnceLock};

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource};

mod own;
pub mod parts;
mod template;

pub use own::{Fault, Own, read};
pub use template::{fault as template_fault, fill};

/// Languages that are built in, the first one where nothing else fits (D-62).
pub const LANGUAGES: [&str; 4] = ["en", "de", "fr", "it"];
const SOURCES: [&str; 4] = [
    include_str!("../../messages/en.ftl"),
    include_str!("../../messages/de.ftl"),
    include_str!("../../messages/fr.ftl"),
    include_str!("../../messages/it.ftl"),
];
const DOCUMENT_PREFIX: &str = "authenticator_sms_";
/// Entries of an `Accept-Language` header that are looked at.
const ACCEPTED_MAX: usize = 16;

type Bundle = FluentBundle<FluentResource>;

fn bundles() -> &'static [Bundle] {
    static BUNDLES: OnceLock<Vec<Bundle>> = OnceLock::new();
    BUNDLES.get_or_init(|| {
        let built_in = |(lang, source): (&&str, &str)| {
            let resource = FluentResource::try_new(source.to_owned());
            bundle(lang, resource.expect("a test reads the built-in catalogues"))
                .expect("the built-in languages are language tags")
        };
        LANGUAGES.iter().zip(SOURCES).map(built_in).collect()
    })
}

/// A catalogue of a language; none for a name that is no language tag (BCP 47).
fn bundle(lang: &str, resource: FluentResource) -> Option<Bundle> {
    let mut bundle = FluentBundle::new_concurrent(vec![lang.parse().ok()?]);
    // Marks around values would be typed into phones and pages.
    bundle.set_use_isolating(false);
    bundle.add_resource(resource).expect("an id that stands twice was found when the catalogue was read");
    Some(bundle)
}

/// The id of a key in the catalogues.
pub fn id_of(key: &str) -> String {
    let [document, plain] = ids(key);
    if bundles()[0].has_message(&document) { document } else { plain }
}

fn ids(key: &str) -> [String; 2] {
    let id = key.replace('.', "_");
    [format!("{DOCUMENT_PREFIX}{id}"), id]
}

/// The built-in language that serves a tag best: `de-CH` is served by `de`.
pub fn built_in(tag: &str) -> Option<&'static str> {
    LANGUAGES.into_iter().find(|lang| lang.eq_ignore_ascii_case(primary(tag)))
}

/// The language without its region.
fn primary(tag: &str) -> &str {
    tag.split(['-', '_']).next().unwrap_or_default()
}

/// The texts of an appliance: what is built in, with the operator's own texts before it.
#[derive(Clone)]
pub struct Catalog(Arc<[Language]>);

struct Language {
    /// As in [`LANGUAGES`], or canonical (BCP 47).
    tag: String,
    own: Option<Bundle>,
    own_count: usize,
    shipped: Option<&'static Bundle>,
}

impl Language {
    /// The text of the first id that is there, the operator's own before the one that is built in.
    fn text(&self, ids: &[String; 2], args: &FluentArgs<'_>) -> Option<String> {
        [self.own.as_ref(), self.shipped].into_iter().flatten().find_map(|bundle| {
            let message = ids.iter().find_map(|id| bundle.get_message(id))?;
            Some(bundle.format_pattern(message.value()?, Some(args), &mut Vec::new()).into_owned())
        })
    }
}

impl fmt::Debug for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.languages()).finish()
    }
}

impl Default for Catalog {
    /// The built-in texts alone.
    fn default() -> Self {
        Catalog::with(Vec::new())
    }
}

impl Catalog {
    /// The built-in texts with an operator's own before them; each language once.
    pub fn with(own: Vec<Own>) -> Self {
        let built_in = LANGUAGES.iter().zip(bundles());
        let mut languages: Vec<Language> = built_in
            .map(|(tag, shipped)| Language {
                tag: (*tag).to_owned(),
                own: None,
                own_count: 0,
                shipped: Some(shipped),
            })
            .collect();
        for Own { tag, bundle, lines } in own {
            let (own, own_count) = (Some(bundle), lines.len());
            match languages.iter_mut().find(|known| known.tag.eq_ignore_ascii_case(&tag)) {
                Some(known) => (known.own, known.own_count) = (own, own_count),
                None => languages.push(Language { tag, own, own_count, shipped: None }),
            }
        }
        Catalog(languages.into())
    }

    /// The tags of all languages, the built-in ones first.
    pub fn languages(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|language| language.tag.as_str())
    }

    /// How many texts of a language are the operator's own, and whether it is built in.
    pub fn origin(&self, tag: &str) -> (usize, bool) {
        self.find(tag).map_or((0, false), |language| (language.own_count, language.shipped.is_some()))
    }

    /// The language that serves a tag best: `de-CH` is served by `de-CH`, else by `de` (D-62).
    pub fn serving(&self, tag: &str) -> Option<&str> {
        self.find(tag).map(|language| language.tag.as_str())
    }

    /// The same, or the first language of all.
    pub fn serving_or_first(&self, tag: &str) -> &str {
        self.serving(tag).unwrap_or(LANGUAGES[0])
    }

    fn find(&self, tag: &str) -> Option<&Language> {
        let named = |wanted: &str| self.0.iter().find(|language| language.tag.eq_ignore_ascii_case(wanted));
        named(&tag.replace('_', "-")).or_else(|| named(primary(tag)))
    }

    /// The best language of an `Accept-Language` header (RFC 9110, 12.5.4), or the first of all.
    pub fn accepted(&self, header: &str) -> &str {
        let mut best = (0u16, LANGUAGES[0]);
        for part in header.split(',').take(ACCEPTED_MAX) {
            let mut pieces = part.trim().split(';');
            let tag = pieces.next().unwrap_or_default();
            let weight = pieces.find_map(|piece| piece.trim().strip_prefix("q=")).unwrap_or("1");
            let weight: f32 = weight.parse().unwrap_or(0.0);
            // Thousandths: what the header can express.
            let weight = (weight.clamp(0.0, 1.0) * 1000.0).round() as u16;
            if let Some(lang) = self.serving(tag)
                && weight > best.0
            {
                best = (weight, lang);
            }
        }
        best.1
    }

    /// The text of a key in a language, with values; where that language has none, in the one without its region,
    /// then in the first of all.
    pub fn text(&self, lang: &str, key: &str, values: &[(&str, &str)]) -> String {
        let ids = ids(key);
        let mut args = FluentArgs::new();
        for (name, value) in values {
            args.set(*name, *value);
        }
        let order = [self.find(lang), self.find(primary(lang)), self.0.first()];
        let text = order.into_iter().flatten().find_map(|language| language.text(&ids, &args));
        text.unwrap_or_else(|| key.to_owned())
    }
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
        let texts = Catalog::default();
        let text = |lang, key, values: &[_]| texts.text(lang, key, values);
        assert_eq!(text("de-CH", "enter-otp.error.invalid.otp", &[]), "Der Code ist nicht gültig.");
        assert_eq!(text("xx", "login.error.invalid", &[]), "User name or password is not right.");
        assert_eq!(text("en", "enter-otp.sms.sent.message", &[("code", "123456")]), "123456");
        assert_eq!(text("en", "nobody.knows", &[]), "nobody.knows");
    }

    /// D-62.
    #[test]
    fn the_browser_says_which_language() {
        assert_eq!(Catalog::default().accepted("fr-CH, fr;q=0.9, en;q=0.8"), "fr");
        assert_eq!(Catalog::default().accepted("ja, de;q=0.4, it;q=0.5"), "it");
        for header in ["", "ja", ";;q=,", "*", "de;q=0"] {
            assert_eq!(Catalog::default().accepted(header), "en", "{header}");
        }
    }
}
