//! `countersign messages check`: the texts for people, the operator's own included, and how many parts each text
//! message has, by language (SMS-45, D-65).

use std::process::ExitCode;

use clap::Subcommand;
use serde::Serialize;

use super::output::{Failure, print, table};
use super::{EXIT_DONE, EXIT_REFUSED, Global};
use crate::config::{self, Config};
use crate::texts::parts::{self, PARTS_GOOD, PARTS_MAX};

/// Check the texts for people. Needs no daemon.
#[derive(Subcommand)]
pub(super) enum MessagesCommand {
    /// Check the operator's own texts, and list the languages.
    Check {
        /// Count the parts of each text message; exit 1 if one has more than three.
        #[arg(long)]
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
    lang: String,
    characters: usize,
    alphabet: String,
    parts: usize,
    verdict: &'static str,
}

/// Where the texts of a language come from.
#[derive(Serialize)]
struct Origin {
    lang: String,
    own: usize,
    built_in: bool,
}

pub(super) fn run(global: &Global, command: &MessagesCommand) -> Result<ExitCode, Failure> {
    let MessagesCommand::Check { sms, lang } = command;
    let config = config::load(&global.config).map_err(Failure::usage)?;
    let languages: Vec<String> = match lang {
        None => config.texts.languages().map(str::to_owned).collect(),
        Some(tag) => {
            let known = config.texts.languages().collect::<Vec<_>>().join(", ");
            let unknown = || Failure::usage(format!("there is no catalogue for {tag:?}; there are {known}"));
            vec![config.texts.serving(tag).ok_or_else(unknown)?.to_owned()]
        }
    };
    if *sms { check_sms(global, &config, &languages) } else { list(global, &config, languages) }
}

fn list(global: &Global, config: &Config, languages: Vec<String>) -> Result<ExitCode, Failure> {
    let origin = |lang: String| {
        let (own, built_in) = config.texts.origin(&lang);
        Origin { lang, own, built_in }
    };
    let origins: Vec<Origin> = languages.into_iter().map(origin).collect();
    print(global, &origins, |origins| {
        let others =
            |built_in| if built_in { "built in" } else { "of the language without region, or English" };
        let row = |o: &Origin| [o.lang.clone(), o.own.to_string(), others(o.built_in).to_owned()];
        table(["LANG", "OWN TEXTS", "OTHERS"], &origins.iter().map(row).collect::<Vec<_>>())
    })
}

fn check_sms(global: &Global, config: &Config, languages: &[String]) -> Result<ExitCode, Failure> {
    let mut counted = Vec::new();
    for lang in languages {
        counted.extend(count(config, lang)?);
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

/// Says on stderr which text messages take more parts than one (SMS-45).
pub(super) fn warn_of_parts(config: &Config) {
    for lang in config.texts.languages() {
        for (key, text) in all(config, lang) {
            match parts::size(&text) {
                Ok(size) if size.parts <= PARTS_GOOD => {}
                Ok(size) => eprintln!("countersign: {key} in {lang}: {} parts", size.parts),
                Err(error) => eprintln!("countersign: {key} in {lang}: {error}"),
            }
        }
    }
}

/// Every text message in a language, by its key.
fn all(config: &Config, lang: &str) -> Vec<(&'static str, String)> {
    let mut messages = parts::messages(config, &config.texts, lang);
    messages.push(("sms.message", parts::general(&config.sms_message, config.terms.digits)));
    messages
}

fn count(config: &Config, lang: &str) -> Result<Vec<Counted>, Failure> {
    let counted = |(key, text): (&'static str, String)| {
        let size = parts::size(&text).map_err(Failure::usage)?;
        Ok(Counted {
            key,
            lang: lang.to_owned(),
            characters: size.characters,
            alphabet: size.alphabet,
            parts: size.parts,
            verdict: match size.parts {
                parts if parts <= PARTS_GOOD => "ok",
                parts if parts <= PARTS_MAX => "several parts",
                _ => "too long",
            },
        })
    };
    all(config, lang).into_iter().map(counted).collect()
}

fn row(text: &Counted) -> [String; 6] {
    [
        text.key.to_owned(),
        text.lang.clone(),
        text.characters.to_string(),
        text.alphabet.clone(),
        text.parts.to_string(),
        text.verdict.to_owned(),
    ]
}
