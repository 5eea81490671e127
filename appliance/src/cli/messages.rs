//! `countersign messages check`: how many parts each text message has, by language (SMS-45, D-65).

use std::process::ExitCode;

use clap::Subcommand;
use modem::pdu::{Number, SubmitOptions, submit};
use serde::Serialize;

use super::output::{Failure, print, table};
use super::{EXIT_DONE, EXIT_REFUSED, Global};
use crate::config::{self, Config};
use crate::ui::catalog;

/// Parts from which on a message costs more than it should.
const PARTS_GOOD: usize = 1;
/// Parts that a message has at the most.
const PARTS_MAX: usize = 3;
/// Any number: parts do not depend on it.
const ANY_NUMBER: &str = "+41790000001";
/// A masked number, in a notice.
const ANY_MASKED: &str = "…0001";
/// As long as the token of a link.
const ANY_LINK_TOKEN: &str = "0000000000000000000000";

/// Check the texts for people. Needs no daemon.
#[derive(Subcommand)]
pub(super) enum MessagesCommand {
    /// Count the parts of each text message; exit 1 if one has more than three.
    Check {
        /// The text messages.
        #[arg(long, required = true)]
        sms: bool,
        /// Only this language.
        #[arg(long, value_name = "TAG")]
        lang: Option<String>,
    },
}

/// A text message as it would be sent.
#[derive(Serialize)]
struct Counted {
    key: &'static str,
    lang: &'static str,
    characters: usize,
    alphabet: String,
    parts: usize,
    verdict: &'static str,
}

pub(super) fn run(global: &Global, command: &MessagesCommand) -> Result<ExitCode, Failure> {
    let MessagesCommand::Check { lang, .. } = command;
    let config = config::load(&global.config).map_err(Failure::usage)?;
    let languages: Vec<&'static str> = match lang {
        None => catalog::LANGUAGES.to_vec(),
        Some(tag) => {
            let known = catalog::LANGUAGES.join(", ");
            let unknown = || Failure::usage(format!("there is no catalogue for {tag:?}; there are {known}"));
            vec![catalog::serving(tag).ok_or_else(unknown)?]
        }
    };
    let mut counted = Vec::new();
    for lang in languages {
        for (key, text) in texts(&config, lang) {
            counted.push(count(key, lang, &text)?);
        }
    }
    for text in counted.iter().filter(|text| text.parts > PARTS_GOOD) {
        eprintln!("countersign: {} in {}: {} parts", text.key, text.lang, text.parts);
    }
    if config.people.pages.public_url.is_none() {
        eprintln!("countersign: without public_url there are no links: their text is not looked at");
    }
    print(global, &counted, |counted| {
        let rows: Vec<[String; 6]> = counted.iter().map(row).collect();
        table(["KEY", "LANG", "CHARACTERS", "ALPHABET", "PARTS", "VERDICT"], &rows)
    })?;
    let fits = counted.iter().all(|text| text.parts <= PARTS_MAX);
    Ok(ExitCode::from(if fits { EXIT_DONE } else { EXIT_REFUSED }))
}

fn row(text: &Counted) -> [String; 6] {
    [
        text.key.to_owned(),
        text.lang.to_owned(),
        text.characters.to_string(),
        text.alphabet.clone(),
        text.parts.to_string(),
        text.verdict.to_owned(),
    ]
}

/// Every text message in a language, with values as long as they get.
fn texts(config: &Config, lang: &str) -> Vec<(&'static str, String)> {
    let people = &config.people;
    let digits = people.authenticators.iter().map(|own| own.otp_length).chain([config.terms.digits]).max();
    let code = "0".repeat(usize::from(digits.unwrap_or_default()));
    let sent = |key: &'static str, name: &str, value: &str| (key, catalog::text(lang, key, &[(name, value)]));
    let mut texts = vec![
        ("sms.message", config.sms_message.replace("%s", &code)),
        sent("enter-otp.sms.sent.message", "code", &code),
        sent("notice-old-number", "new", ANY_MASKED),
        sent("notice-new-number", "old", ANY_MASKED),
    ];
    if let Some(url) = &people.pages.public_url {
        let link = format!("{url}/ui/l/{ANY_LINK_TOKEN}");
        texts.push(sent("link-wait.sms.sent.message", "code", &link));
    }
    texts
}

fn count(key: &'static str, lang: &'static str, text: &str) -> Result<Counted, Failure> {
    let number = Number::parse(ANY_NUMBER).map_err(Failure::fault)?;
    let tpdus = submit(&number, text, &SubmitOptions::default()).map_err(Failure::usage)?;
    let parts = tpdus.len();
    Ok(Counted {
        key,
        lang,
        characters: text.chars().count(),
        alphabet: tpdus.first().map_or_else(String::new, |tpdu| tpdu.alphabet.to_string()),
        parts,
        verdict: match parts {
            parts if parts <= PARTS_GOOD => "ok",
            parts if parts <= PARTS_MAX => "several parts",
            _ => "too long",
        },
    })
}
