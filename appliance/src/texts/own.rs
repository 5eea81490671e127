//! A catalogue that an operator has written: every message is one of ours, with the same values in it.
//!
//! Plain text and `{ $name }` only: nothing that could fail when the text is needed.

use std::collections::{BTreeMap, BTreeSet};

use fluent_bundle::FluentResource;
use fluent_syntax::ast::{Entry, Expression, InlineExpression, Message, Pattern, PatternElement};

use super::{Bundle, SOURCES, bundle, template};

/// The texts that a code or a link goes into, by id (SMS-17).
const WITH_CODE: [&str; 2] =
    ["authenticator_sms_enter-otp_sms_sent_message", "authenticator_sms_link-wait_sms_sent_message"];
/// The value that stands for the code or the link.
const CODE: &str = "code";

/// An operator's own texts in a language.
pub struct Own {
    pub(super) tag: String,
    pub(super) bundle: Bundle,
    pub(super) lines: BTreeMap<String, usize>,
}

impl Own {
    /// The language tag in its canonical spelling (BCP 47).
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// The ids of its messages, each with its line, from 1.
    pub fn lines(&self) -> &BTreeMap<String, usize> {
        &self.lines
    }
}

/// What is wrong with a catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Line, from 1.
    pub line: usize,
    /// Id of the message; empty where there is none.
    pub id: String,
    /// What is wrong and what to do.
    pub text: String,
}

/// Reads an operator's catalogue of a language.
///
/// # Errors
/// Everything that is wrong, in the order of the lines; each carries `CFG-MSG-1`.
pub fn read(lang: &str, source: String) -> Result<Own, Vec<Fault>> {
    let (resource, broken) = match FluentResource::try_new(source) {
        Ok(resource) => (resource, Vec::new()),
        Err(broken) => broken,
    };
    let text = resource.source();
    let line_at = |at: usize| text.as_bytes().iter().take(at).filter(|&&byte| byte == b'\n').count() + 1;
    // A slice of the text: the distance of the two is its place.
    let line_of = |slice: &str| line_at((slice.as_ptr() as usize).saturating_sub(text.as_ptr() as usize));
    let mut faults: Vec<Fault> = broken
        .iter()
        .map(|error| {
            let junk = error.slice.clone().and_then(|slice| text.get(slice)).unwrap_or_default();
            let id = junk.trim_start().split([' ', '=', '\n']).next().unwrap_or_default();
            fault(line_at(error.pos.start), id, &error.kind.to_string().to_lowercase())
        })
        .collect();
    let mut lines = BTreeMap::new();
    let shipped = shipped();
    for entry in resource.entries() {
        match entry {
            Entry::Message(message) => {
                let (id, line) = (message.id.name, line_of(message.id.name));
                if lines.insert(id.to_owned(), line).is_some() {
                    faults.push(fault(line, id, "stands here twice"));
                }
                faults.extend(wrong_with(message, &shipped).map(|text| fault(line, id, &text)));
            }
            Entry::Term(term) => {
                faults.push(fault(line_of(term.id.name), term.id.name, "terms are not known here"));
            }
            // Junk has an error of its own.
            Entry::Comment(_) | Entry::GroupComment(_) | Entry::ResourceComment(_) | Entry::Junk { .. } => {}
        }
    }
    if !faults.is_empty() {
        faults.sort_by_key(|fault| fault.line);
        return Err(faults);
    }
    let no_language = || vec![fault(1, "", "the file's name is no language tag, such as de or fr-CH")];
    let bundle = bundle(lang, resource).ok_or_else(no_language)?;
    let tag = bundle.locales.first().map(ToString::to_string).ok_or_else(no_language)?;
    Ok(Own { tag, bundle, lines })
}

fn fault(line: usize, id: &str, text: &str) -> Fault {
    Fault { line, id: id.to_owned(), text: format!("{text} (CFG-MSG-1)") }
}

/// Ids of the English catalogue, each with the names of the values in it.
fn shipped() -> BTreeMap<String, BTreeSet<String>> {
    let english =
        FluentResource::try_new(SOURCES[0].to_owned()).expect("a test reads the built-in catalogues");
    let known = english.entries().filter_map(|entry| match entry {
        Entry::Message(message) => {
            let parts = message.value.as_ref().map(parts).transpose().ok().flatten().unwrap_or_default();
            Some((message.id.name.to_owned(), names(&parts)))
        }
        _ => None,
    });
    known.collect()
}

/// A piece of a message.
enum Part<'m> {
    Text(&'m str),
    Value(&'m str),
}

fn names(parts: &[Part<'_>]) -> BTreeSet<String> {
    let name = |part: &Part<'_>| match part {
        Part::Value(name) => Some((*name).to_owned()),
        Part::Text(_) => None,
    };
    parts.iter().filter_map(name).collect()
}

fn parts<'m>(pattern: &'m Pattern<&'m str>) -> Result<Vec<Part<'m>>, &'static str> {
    let part = |element: &'m PatternElement<&'m str>| match element {
        PatternElement::TextElement { value } => Ok(Part::Text(value)),
        PatternElement::Placeable { expression: Expression::Inline(inline) } => match inline {
            InlineExpression::VariableReference { id } => Ok(Part::Value(id.name)),
            InlineExpression::StringLiteral { value } => Ok(Part::Text(value)),
            _ => Err("only text and { $name } are known here"),
        },
        PatternElement::Placeable { .. } => Err("only text and { $name } are known here"),
    };
    pattern.elements.iter().map(part).collect()
}

fn wrong_with(message: &Message<&str>, shipped: &BTreeMap<String, BTreeSet<String>>) -> Option<String> {
    let id = message.id.name;
    let Some(wanted) = shipped.get(id) else {
        return Some("there is no such message; see the English catalogue".to_owned());
    };
    let (Some(value), true) = (&message.value, message.attributes.is_empty()) else {
        return Some("must be one text, without attributes".to_owned());
    };
    let parts = match parts(value) {
        Ok(parts) => parts,
        Err(text) => return Some(text.to_owned()),
    };
    if WITH_CODE.contains(&id) {
        return wrong_with_code(&parts).map(str::to_owned);
    }
    let there = names(&parts);
    (there != *wanted).then(|| {
        let list = |names: &BTreeSet<String>| match names.len() {
            0 => "no value".to_owned(),
            _ => names.iter().map(|name| format!("{{ ${name} }}")).collect::<Vec<_>>().join(" "),
        };
        format!("must hold {}, and holds {}", list(wanted), list(&there))
    })
}

/// `{ $code }` and `%s` mean the same, and stand there once.
fn wrong_with_code(parts: &[Part<'_>]) -> Option<&'static str> {
    let mut text = String::new();
    for part in parts {
        match part {
            Part::Text(piece) => text.push_str(piece),
            Part::Value(CODE) => text.push_str("%s"),
            Part::Value(_) => return Some("knows no value but { $code }"),
        }
    }
    template::fault(&text).map(|_| "must hold %s or { $code } exactly once; any other percent sign is %%")
}

#[cfg(test)]
mod tests {
    use super::super::Catalog;
    use super::*;

    const SENT: &str = "authenticator_sms_enter-otp_sms_sent_message";

    fn texts(lang: &str, source: &str) -> Catalog {
        let own = read(lang, source.to_owned()).unwrap_or_else(|faults| panic!("{faults:?}"));
        Catalog::with(vec![own])
    }

    #[track_caller]
    fn refused(source: &str, line: usize, id: &str, text: &str) {
        let faults = read("de", source.to_owned()).err().unwrap_or_default();
        let fits = |fault: &Fault| {
            fault.line == line
                && fault.id == id
                && fault.text.contains(text)
                && fault.text.contains("CFG-MSG-1")
        };
        assert!(faults.iter().any(fits), "{line} {id} {text} is not among {faults:?}");
    }

    /// SMS-17, SMS-19: an own text takes the place of ours in its language and nowhere else.
    #[test]
    fn an_own_text_takes_the_place_of_ours() {
        let texts = texts("de", &format!("# Unser Text\n{SENT} = Ihr Code: {{ $code }}\nui-back = Retour\n"));
        let sent = |lang| texts.text(lang, "enter-otp.sms.sent.message", &[("code", "%s")]);
        assert_eq!((sent("de").as_str(), sent("de-CH").as_str()), ("Ihr Code: %s", "Ihr Code: %s"));
        assert_eq!((sent("en").as_str(), sent("fr").as_str()), ("%s", "%s"));
        assert_eq!(texts.text("de", "ui-back", &[]), "Retour");
        assert_eq!(texts.text("de", "ui-continue", &[]), "Weiter");
    }

    /// SMS-17, D-17: the documents' spelling means the same.
    #[test]
    fn the_documents_spelling_is_known() {
        let texts = texts("fr", &format!("{SENT} = 100%% sûr : %s\n"));
        let sent = texts.text("fr", "enter-otp.sms.sent.message", &[("code", "%s")]);
        assert_eq!(sent, "100%% sûr : %s");
    }

    /// D-62: another language falls back to English key by key, a region to its language.
    #[test]
    fn another_language_may_be_added() {
        let rm = texts("rm", "ui-continue = Vinavant\n");
        assert_eq!((rm.serving("RM-ch"), rm.accepted("rm, de;q=0.5")), (Some("rm"), "rm"));
        assert_eq!(rm.text("rm", "ui-continue", &[]), "Vinavant");
        assert_eq!(rm.text("rm", "ui-back", &[]), "Back");
        let swiss = texts("de_ch", "ui-continue = Wiiter\n");
        assert_eq!((swiss.serving("de-CH"), swiss.serving("de-AT")), (Some("de-CH"), Some("de")));
        assert_eq!(swiss.text("de-ch", "ui-continue", &[]), "Wiiter");
        assert_eq!(swiss.text("de-ch", "ui-back", &[]), "Zurück");
        assert_eq!(swiss.text("de", "ui-continue", &[]), "Weiter");
    }

    /// SMS-18, CFG-MSG-1: a fault names line and key. Red when a text without a place for the code passes.
    #[test]
    fn what_is_wrong_is_named() {
        for text in ["Ihr Code", "%s { $code }", "%s %s", "100% %s", "{ $kode }"] {
            refused(&format!("# a\n\n{SENT} = {text}\n"), 3, SENT, "");
        }
        refused("ui-bakc = Zurück\n", 1, "ui-bakc", "no such message");
        refused("ui-back = a\nui-back = b\n", 2, "ui-back", "twice");
        refused("ui-error-title = Fehler\n", 1, "ui-error-title", "must hold { $title }, and holds no value");
        refused("ui-back = { $title }\n", 1, "ui-back", "must hold no value");
        refused("ui-back = { ui-continue }\n", 1, "ui-back", "only text");
        refused("ui-back = { NUMBER($x) }\n", 1, "ui-back", "only text");
        refused("ui-back = { $x ->\n   *[other] x\n }\n", 1, "ui-back", "only text");
        refused("ui-back = x\n    .title = y\n", 1, "ui-back", "attributes");
        refused("-term = x\n", 1, "term", "terms");
        refused("ui-continue = Weiter\nui-back Zurück\n", 2, "ui-back", "expected");
        assert_eq!(read("de", "ui-bakc = x\nui-back = { $x }\n".to_owned()).err().map(|f| f.len()), Some(2));
        assert!(read("no language", "ui-back = x\n".to_owned()).is_err());
    }
}
