//! `countersign oath ...`: OATH accounts of users (OATH-03, OATH-04, OATH-43 to OATH-50).

use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};
use domain::otpauth::OtpAuth;
use serde_json::json;

use super::client::{Client, segment};
use super::output::{Failure, print};
use super::{EXIT_DONE, EXIT_REFUSED, Global, prompt};
use crate::api::wire;

/// OATH accounts: make, show, end, renew.
#[derive(Subcommand)]
pub(super) enum OathCommand {
    /// Make an account. Its secret is not shown: a letter brings it, or the user's own pages do.
    Add {
        /// Name of the user.
        user: String,
        /// Order the letter that brings it, by post.
        #[arg(long)]
        letter: bool,
        /// The letter is handed over, not posted.
        #[arg(long)]
        hand: bool,
    },
    /// Show a user's accounts and where the letter stands.
    Show {
        /// Name of the user.
        user: String,
    },
    /// End a user's accounts for good: the secrets are erased, and no app that has them works any more.
    Delete {
        /// Name of the user.
        user: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// A new secret in place of the old one, and the letter that brings it. Apps that have the old one stop.
    Renew {
        /// Name of the user.
        user: String,
        /// The letter is handed over, not posted.
        #[arg(long)]
        hand: bool,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Show an account's secret, if the configuration lets you. Each time is an event.
    ShowSecret {
        /// Name of the user.
        user: String,
        /// As what.
        #[arg(long, default_value = "qr")]
        format: Form,
    },
    /// Find an account's counter or clock again from two consecutive codes.
    Resync {
        /// Name of the user.
        user: String,
        /// A code.
        code1: String,
        /// The code after it.
        code2: String,
    },
    /// Say whether every usual authenticator app takes an otpauth:// URI. Needs no daemon.
    UriCheck {
        /// The URI; `-` reads it from standard input, where no list of processes shows it.
        uri: String,
    },
}

/// How a secret is shown.
#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Form {
    /// As the code that an app scans.
    Qr,
    /// As hex digits.
    Hex,
    /// As Base32.
    Base32,
}

impl Form {
    fn name(self) -> &'static str {
        match self {
            Form::Qr => "qr",
            Form::Hex => "hex",
            Form::Base32 => "base32",
        }
    }
}

fn path(user: &str, rest: &str) -> String {
    format!("/v1/users/{}/oath{rest}", segment(user))
}

pub(super) fn run(global: &Global, command: OathCommand) -> Result<ExitCode, Failure> {
    if let OathCommand::UriCheck { uri } = command {
        return uri_check(global, &uri);
    }
    let client = Client::new(global)?;
    let by = |hand: bool| if hand { "hand" } else { "post" }.to_owned();
    match command {
        OathCommand::Add { user, letter, hand } => {
            let new = wire::NewOath { letter: (letter || hand).then(|| by(hand)) };
            let made: wire::MadeOath = client.post(&path(&user, ""), &new)?;
            print(global, &made, made_text)
        }
        OathCommand::Show { user } => {
            let accounts: wire::OathAccounts = client.get(&path(&user, ""))?;
            print(global, &accounts, accounts_text)
        }
        OathCommand::Delete { user, yes } => {
            if !yes {
                prompt::confirm(&format!(
                    "This erases the OATH secret of {user}; every app that has it stops, and it cannot be undone."
                ))?;
            }
            let ended: wire::EndedOath = client.remove(&path(&user, ""))?;
            print(global, &ended, |ended| format!("ended {}", ended.ended.join(", ")))
        }
        OathCommand::Renew { user, hand, yes } => {
            if !yes {
                prompt::confirm(&format!(
                    "This gives {user} a new OATH secret; every app that has the old one stops."
                ))?;
            }
            let new = wire::NewOath { letter: Some(by(hand)) };
            let made: wire::MadeOath = client.post(&path(&user, "/renew"), &new)?;
            print(global, &made, made_text)
        }
        OathCommand::ShowSecret { user, format } => {
            let shown: wire::ShownSecret =
                client.get(&path(&user, &format!("/secret?format={}", format.name())))?;
            print(global, &shown, |shown| {
                let secret = shown.secret.as_ref().or(shown.qr_text.as_ref());
                secret.map(|text| text.to_string()).unwrap_or_default()
            })
        }
        OathCommand::Resync { user, code1: otp1, code2: otp2 } => {
            let token: wire::Token = client.post(&path(&user, "/resync"), &wire::Resync { otp1, otp2 })?;
            print(global, &token, super::token::describe)
        }
        OathCommand::UriCheck { .. } => Ok(ExitCode::from(EXIT_DONE)),
    }
}

fn letter_text(letter: Option<&wire::LetterState>) -> String {
    letter
        .map_or("none".to_owned(), |letter| format!("{} ({}, {})", letter.state, letter.delivery, letter.id))
}

fn made_text(made: &wire::MadeOath) -> String {
    let ended = match made.ended.as_slice() {
        [] => String::new(),
        serials => format!("\nended   {}", serials.join(", ")),
    };
    format!("token   {}{ended}\nletter  {}", made.serial, letter_text(made.letter.as_ref()))
}

fn accounts_text(accounts: &wire::OathAccounts) -> String {
    let list = wire::List {
        items: accounts.accounts.iter().map(|account| &account.token).collect::<Vec<_>>(),
        next: None,
    };
    let shown = accounts.accounts.iter().filter(|account| account.revealable).count();
    format!(
        "accounts  {} of {}, {shown} with a secret that can be shown again\nletter    {}\n\n{}",
        accounts.accounts.len(),
        accounts.quota,
        letter_text(accounts.letter.as_ref()),
        super::token::tokens_table(&list)
    )
}

fn uri_check(global: &Global, uri: &str) -> Result<ExitCode, Failure> {
    let read;
    let uri = if uri == "-" {
        read = prompt::line()?;
        read.as_str()
    } else {
        uri
    };
    let reasons = OtpAuth::incompatibilities(uri);
    let answer = json!({ "compatible": reasons.is_empty(), "reasons": reasons });
    print(global, &answer, |_| match reasons.as_slice() {
        [] => "every usual app takes it".to_owned(),
        reasons => reasons.join("\n"),
    })?;
    Ok(ExitCode::from(if reasons.is_empty() { EXIT_DONE } else { EXIT_REFUSED }))
}
