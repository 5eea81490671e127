//! `countersign push ...`: phones.

use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use clap::{Subcommand, ValueEnum};

use super::client::{Client, segment};
use super::output::{Failure, print, table};
use super::{EXIT_DONE, EXIT_REFUSED, Global};
use crate::api::wire;

/// How long one request waits for a phone, in seconds: less than the client's own patience.
pub(super) const WAIT_S: u64 = 20;
/// How often the state of a push is asked for.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// Register and ask phones.
#[derive(Subcommand)]
pub(super) enum PushCommand {
    /// Show the QR code that registers a user's phone, and wait for the phone.
    Register {
        /// Name of the user.
        user: String,
        /// What the code registers.
        #[arg(long, value_enum, default_value = "combined")]
        kind: Kind,
        /// End what the user has of that kind.
        #[arg(long)]
        replace: bool,
        /// Language of the text beside the code, such as en-gb.
        #[arg(long)]
        locale: Option<String>,
        /// Print the code and go; `push registration` tells what came of it.
        #[arg(long)]
        no_wait: bool,
    },
    /// Show a registration; the first time after its success with the recovery codes.
    Registration {
        /// Name of the user.
        user: String,
        /// The handle.
        id: String,
    },
    /// List a user's phones, and how many recovery codes are left.
    List {
        /// Name of the user.
        user: String,
    },
    /// Ask a user's phone, and wait for the answer: exit 0 approved, 1 anything else.
    Ask {
        /// Name of the user.
        user: String,
        /// Words for the user, at most 40 characters.
        #[arg(long)]
        message: Option<String>,
    },
}

/// What a QR code registers.
#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Kind {
    /// Push and codes.
    Combined,
    /// Push alone.
    Push,
    /// Codes alone.
    Oath,
}

pub(super) fn run(global: &Global, command: PushCommand) -> Result<ExitCode, Failure> {
    let client = Client::new(global)?;
    match command {
        PushCommand::Register { user, kind, replace, locale, no_wait } => {
            let kind = match kind {
                Kind::Combined => "combined",
                Kind::Push => "push",
                Kind::Oath => "oath",
            };
            let new = wire::NewRegistration { kind: kind.to_owned(), replace, locale };
            let path = format!("/v1/users/{}/registrations", segment(&user));
            let begun: wire::BegunRegistration = client.post(&path, &new)?;
            if no_wait || kind == "oath" {
                return print(global, &begun, |begun| {
                    format!("{}\n{}\nregistration {}", begun.qr_text, begun.uri.as_str(), begun.id)
                });
            }
            eprintln!("{}\n{}\n", begun.qr_text, begun.uri.as_str());
            eprintln!("Scan the code with the authenticator app; waiting for the phone.");
            await_phone(global, &client, &format!("{path}/{}?wait={WAIT_S}", begun.id))
        }
        PushCommand::Registration { user, id } => {
            let path = format!("/v1/users/{}/registrations/{}", segment(&user), segment(&id));
            let found: wire::Registration = client.get(&path)?;
            print(global, &found, told)
        }
        PushCommand::List { user } => {
            let found: wire::Phones = client.get(&format!("/v1/users/{}/push", segment(&user)))?;
            print(global, &found, |found| {
                let rows: Vec<[String; 6]> = found
                    .items
                    .iter()
                    .map(|phone| {
                        let used = phone.used_at.clone().unwrap_or_else(|| "never".to_owned());
                        let (state, codes) = (phone.state.clone(), phone.pair.clone().unwrap_or_default());
                        [phone.serial.clone(), phone.name.clone(), phone.system.clone(), state, codes, used]
                    })
                    .collect();
                let left = match found.recovery_codes_left {
                    Some(left) => format!("{left} recovery codes left"),
                    None => "no recovery codes".to_owned(),
                };
                let head = ["SERIAL", "NAME", "SYSTEM", "STATE", "ITS CODES", "LAST APPROVAL"];
                format!("{}\n{left}", table(head, &rows))
            })
        }
        PushCommand::Ask { user, message } => ask(global, &client, user, message),
    }
}

fn told(found: &wire::Registration) -> String {
    let mut text = format!("{}: {}", found.kind, found.state);
    if let Some(reason) = &found.reason {
        text.push_str(&format!(" ({reason})"));
    }
    if let Some(device) = found.push.as_ref().and_then(|push| push.device.as_ref()) {
        text.push_str(&format!("\nphone  {}  {}", device.serial, device.name));
    }
    if let Some(oath) = &found.oath {
        text.push_str(&format!("\ncodes  {}", oath.profile.serial));
    }
    if let Some(codes) = &found.recovery_codes {
        text.push_str("\n\nRecovery codes, shown this once:\n");
        for code in codes {
            text.push_str(&format!("  {}\n", code.as_str()));
        }
    }
    text
}

fn await_phone(global: &Global, client: &Client<'_>, path: &str) -> Result<ExitCode, Failure> {
    loop {
        let found: wire::Registration = client.get(path)?;
        let Some(outcome) = &found.outcome else { continue };
        let done = outcome == "success";
        print(global, &found, told)?;
        return Ok(ExitCode::from(if done { EXIT_DONE } else { EXIT_REFUSED }));
    }
}

fn ask(
    global: &Global,
    client: &Client<'_>,
    user: String,
    binding_message: Option<String>,
) -> Result<ExitCode, Failure> {
    let new = wire::NewChallenge {
        user,
        channel: "push".to_owned(),
        authenticator: None,
        binding_message,
        token: None,
        remote_ip: None,
        user_agent: None,
    };
    let mut asked: wire::Challenge = client.post("/v1/challenges", &new)?;
    if let Some(number) = asked.number {
        eprintln!("The number to tap: {number}");
    }
    eprintln!("Waiting for the phone.");
    let path = format!("/v1/challenges/{}", asked.id);
    while ["delivering", "waiting"].contains(&asked.state.as_str()) {
        let next = Instant::now() + ASK_AGAIN;
        asked = client.get(&path)?;
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    let approved = asked.state == "verified";
    print(global, &asked, |asked| asked.state.clone())?;
    Ok(ExitCode::from(if approved { EXIT_DONE } else { EXIT_REFUSED }))
}
