//! The check of templates: sets each with made-up letters, an ordinary one and the longest that may come, for both
//! windows, and reports what is wrong before a letter is due (MOB-25, OATH-47).

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde_json::{Value, json};

use crate::arguments::UsageError;
use crate::deadline::{PER_DOCUMENT, Watchdog};
use crate::fonts::Fonts;
use crate::job::{Job, Refusal};
use crate::language::Language;
use crate::templates::{Kind, Origin, Templates, parse_name};
use crate::world::{self, SetError};
use crate::{EXIT_FAULT, EXIT_FOUND, Failure, letter, qr, sender};

/// Words to fill a field with: long ones, and letters of every shipped language.
const WORDS: &str = "Überprüfungsmaßnahme Straßenbahnhaltestelle äöü ÄÖÜ ß déjà naïve œuvre perché città ";

/// What each template is tried with: the window, and whether every field is as long as it may be.
const VARIANTS: [(&str, bool); 4] = [("left", false), ("right", false), ("left", true), ("right", true)];

/// Something that is wrong with a template.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Finding {
    file: String,
    /// From 1.
    line: Option<usize>,
    text: String,
}

#[derive(Serialize)]
struct Report<'a> {
    checked: Vec<&'a str>,
    findings: Vec<&'a Finding>,
}

/// What a check looks at.
pub(crate) enum Scope {
    /// Each kind in each language, and whatever the directory holds besides.
    All,
    /// One file.
    Only(String),
}

/// How a report is written.
#[derive(Clone, Copy)]
pub(crate) enum Form {
    Lines,
    Json,
}

#[derive(Default)]
struct Found {
    checked: BTreeSet<String>,
    findings: BTreeSet<Finding>,
}

/// Checks and reports. Whether there is nothing to report.
///
/// # Errors
/// [`Failure`] when the report cannot be written, or a made-up letter is refused: a fault of this program.
pub(crate) fn run(templates: &Templates, scope: &Scope, form: Form, fonts: &Fonts) -> Result<bool, Failure> {
    let found = Arc::new(Mutex::new(Found::default()));
    let seen = Arc::clone(&found);
    let watchdog = Watchdog::start(move |name| {
        let mut found = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let text = format!("takes longer than {} s; nothing was checked after it", PER_DOCUMENT.as_secs());
        found.findings.insert(Finding { file: name.to_owned(), line: None, text });
        if report(&found, form).is_ok() { EXIT_FOUND } else { EXIT_FAULT }
    })
    .map_err(Failure::Write)?;
    let add = |findings: Vec<Finding>, checked: Option<&str>| {
        let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
        found.findings.extend(findings);
        found.checked.extend(checked.map(str::to_owned));
    };
    let subjects = subjects(templates, scope);
    if let (Scope::Only(name), []) = (scope, subjects.as_slice()) {
        return Err(UsageError::Absent(name.clone()).into());
    }
    for (name, kind, language) in subjects {
        for (window, longest) in VARIANTS {
            let findings = {
                let _guard = watchdog.watch(&name);
                set(templates, kind, &language, window, longest, fonts).map_err(Failure::Refused)?
            };
            typst::comemo::evict(0);
            add(findings, Some(&name));
        }
    }
    if matches!(scope, Scope::All) {
        add(strangers(templates), None);
    }
    let found = found.lock().unwrap_or_else(PoisonError::into_inner);
    report(&found, form).map_err(Failure::Write)?;
    Ok(found.findings.is_empty())
}

/// The templates to set, by name.
fn subjects(templates: &Templates, scope: &Scope) -> Vec<(String, Kind, Language)> {
    let wanted = |name: &str, origin| match scope {
        Scope::All => true,
        Scope::Only(only) => name == only && origin == Origin::Directory,
    };
    let named = templates.origins().filter(|(name, origin)| wanted(name, *origin));
    named
        .filter_map(|(name, _)| {
            let (kind, language) = parse_name(name)?;
            Some((name.to_owned(), kind, language))
        })
        .collect()
}

/// Files that look like templates of letters and are none, so that they would never be used.
fn strangers(templates: &Templates) -> Vec<Finding> {
    let known: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
    templates
        .origins()
        .filter(|(name, origin)| {
            *origin == Origin::Directory && name.contains('_') && parse_name(name).is_none()
        })
        .map(|(name, _)| Finding {
            file: name.to_owned(),
            line: None,
            text: format!(
                "is not <kind>_<language>.typ with a kind of {} and a language like de or de-CH",
                known.join(", ")
            ),
        })
        .collect()
}

fn set(
    templates: &Templates,
    kind: Kind,
    language: &Language,
    window: &str,
    longest: bool,
    fonts: &Fonts,
) -> Result<Vec<Finding>, Refusal> {
    let sample = sample(kind, language, window, longest).to_string();
    let Job::Letters(batch) = Job::parse(sample.as_bytes(), fonts)? else { return Ok(Vec::new()) };
    let mut findings = Vec::new();
    for (_, letter) in &batch.letters {
        let letter = letter.as_ref().map_err(Clone::clone)?;
        let posting = batch.posting(letter, templates)?;
        if let Err(error) = world::typeset(posting.order, fonts.clone()) {
            findings.extend(explain(error));
        }
    }
    Ok(findings)
}

fn explain(error: SetError) -> Vec<Finding> {
    match error {
        SetError::Template(diagnostics) | SetError::Warning(diagnostics) => diagnostics
            .iter()
            .map(|diagnostic| Finding {
                file: diagnostic.file.clone(),
                line: diagnostic.line.map(Into::into),
                // The letters are made up: nothing in it is secret.
                text: diagnostic.message().replace('\n', " "),
            })
            .collect(),
        SetError::Pages { name, made, wanted } => {
            vec![Finding { file: name, line: None, text: format!("makes {made} pages instead of {wanted}") }]
        }
        SetError::Unseen { name, unseen } => {
            vec![Finding { file: name, line: None, text: unseen.to_string() }]
        }
        SetError::Export { name } => {
            vec![Finding { file: name, line: None, text: "makes no PDF/A-2b".to_owned() }]
        }
    }
}

fn report(found: &Found, form: Form) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    match form {
        Form::Json => {
            let report = Report {
                checked: found.checked.iter().map(String::as_str).collect(),
                findings: found.findings.iter().collect(),
            };
            serde_json::to_writer(&mut stdout, &report)?;
            writeln!(stdout)?;
        }
        Form::Lines => {
            for Finding { file, line, text } in &found.findings {
                match line {
                    Some(line) => writeln!(stdout, "{file}:{line}: {text}")?,
                    None => writeln!(stdout, "{file}: {text}")?,
                }
            }
        }
    }
    stdout.flush()
}

/// A job with a made-up letter. The shipped risk notes are tried by the ordinary one.
fn sample(kind: Kind, language: &Language, window: &str, longest: bool) -> Value {
    let text = |usual: &str, max: usize| if longest { fill(max) } else { usual.to_owned() };
    let many = |usual: &str, count: usize, max: usize| {
        if longest { vec![fill(max); count] } else { vec![text(usual, max)] }
    };
    let risk_note =
        (longest || language.risk_note(kind).is_none()).then(|| text("Risk note", letter::RISK_NOTE_MAX));
    let mut parts: BTreeMap<&str, Value> = BTreeMap::from([
        ("id", json!("sample")),
        ("kind", json!(kind)),
        ("language", json!(language.tag())),
        ("recipient", json!(recipient(longest))),
        ("date", json!("2026-11-21")),
        ("name", json!(text("Zoë Müller", letter::NAME_MAX))),
        ("user", json!(text("zoe.mueller", letter::NAME_MAX))),
        ("reference", json!(text("2026-000123", letter::REFERENCE_MAX))),
        ("url", json!(url(longest))),
        ("valid_until", json!("2026-12-12")),
        ("risk_note", json!(risk_note)),
        ("code", json!(code(kind, longest))),
        ("qr", json!(qr_text(kind, longest))),
    ]);
    if longest {
        parts.insert("salutation", json!(fill(letter::SALUTATION_MAX)));
        parts.insert("steps", json!(vec![fill(letter::STEP_MAX); letter::STEPS_MAX]));
        parts.insert("paragraphs", json!(vec![fill(letter::PARAGRAPH_MAX); letter::PARAGRAPHS_MAX]));
    }
    json!({
        "document": "letters",
        "created": "2026-11-21T00:00:00Z",
        "default_language": language.tag(),
        "window": window,
        "sender": {
            "organisation": text("Example AG", sender::ORGANISATION_MAX),
            "return_line": text("Example AG, Postfach, 3000 Bern", sender::RETURN_LINE_MAX),
            "contact": many("+41 31 000 00 00", sender::CONTACT_LINES_MAX, sender::CONTACT_MAX),
            "help": many("Helpdesk, +41 31 000 00 00", sender::HELP_LINES_MAX, sender::HELP_MAX),
            "footer": many("Example AG", sender::FOOTER_LINES_MAX, sender::FOOTER_MAX),
            "colour": "#1a4f8b",
        },
        "letters": [parts],
    })
}

/// So many characters of text.
fn fill(max: usize) -> String {
    let text: String = WORDS.chars().cycle().take(max).collect();
    // A line does not end with a space.
    if text.ends_with(' ') { text.trim_end().to_owned() + "W" } else { text }
}

/// Lines that differ, so that each must be there itself.
fn recipient(longest: bool) -> Vec<String> {
    if longest {
        let line = |index| format!("{index} {}", fill(letter::RECIPIENT_MAX - 2));
        (1..=letter::RECIPIENT_LINES_MAX).map(line).collect()
    } else {
        ["Zoë Müller", "Hauptstrasse 1", "3000 Bern"].map(str::to_owned).to_vec()
    }
}

fn url(longest: bool) -> String {
    let url = "https://login.example.org/".to_owned();
    if longest { url.clone() + &"a-long-path/".repeat(10)[..letter::URL_MAX - url.len()] } else { url }
}

fn code(kind: Kind, longest: bool) -> String {
    match kind {
        Kind::SmsIak => "WWWW-MMMM-2345".to_owned(),
        Kind::Oath => "WM23".repeat(if longest { 32 } else { 8 }),
    }
}

fn qr_text(kind: Kind, longest: bool) -> String {
    let text = match kind {
        Kind::SmsIak => "https://login.example.org/ui/number",
        Kind::Oath => "otpauth://totp/Example:zoe?secret=WM23WM23WM23WM23WM23WM23WM23WM23&issuer=Example",
    };
    if longest {
        format!("{text}{}", "W".repeat(qr::Place::Letter.text_max() - text.len()))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_is_as_long_as_it_may_be() {
        for max in 1..300 {
            assert_eq!(fill(max).chars().count(), max);
        }
        assert_eq!(url(true).len(), letter::URL_MAX);
        let fonts = Fonts::embedded();
        for kind in Kind::ALL {
            for longest in [false, true] {
                let job = sample(kind, &Language::parse("de").unwrap(), "left", longest).to_string();
                let Ok(Job::Letters(batch)) = Job::parse(job.as_bytes(), &fonts) else { panic!("{job}") };
                assert!(batch.letters.iter().all(|(_, letter)| letter.is_ok()), "{job}");
            }
        }
    }

    #[test]
    fn shipped_templates_draw_no_finding() {
        let fonts = Fonts::embedded();
        let templates = Templates::shipped();
        for (name, kind, language) in subjects(&templates, &Scope::All) {
            for (window, longest) in VARIANTS {
                let findings = set(&templates, kind, &language, window, longest, &fonts).unwrap();
                assert_eq!(findings, [], "{name} {window} {longest}");
            }
        }
    }
}
