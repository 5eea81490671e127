//! `countersign sms ...`: through the daemon's outbox.

use std::process::ExitCode;

use clap::Subcommand;

use super::Global;
use super::client::{Client, segment};
use super::output::{Failure, print};
use crate::api::wire;

/// Send and follow text messages through the daemon.
#[derive(Subcommand)]
pub(super) enum SmsCommand {
    /// What text messages to a user depend on: the method in use, the number, the letters.
    #[command(subcommand)]
    Token(SmsTokenCommand),
    /// Send a test text to a user's verified number.
    Test {
        /// Name of the user.
        user: String,
    },
    /// Send a text to any number.
    Send {
        /// The number, with + and country code.
        #[arg(long)]
        to: String,
        /// The text.
        #[arg(long)]
        text: String,
        /// Drop it unsent after this time.
        #[arg(long, value_name = "DURATION", default_value = "5m")]
        expires: jiff::SignedDuration,
    },
    /// Show where a message stands.
    Show {
        /// The message's id.
        id: String,
    },
}

/// What text messages to a user depend on.
#[derive(Subcommand)]
pub(super) enum SmsTokenCommand {
    /// Show it (MOB-29).
    Show {
        /// Name of the user.
        user: String,
    },
}

pub(super) fn run(global: &Global, command: SmsCommand) -> Result<ExitCode, Failure> {
    let client = Client::new(global)?;
    let message: wire::Message = match command {
        SmsCommand::Token(SmsTokenCommand::Show { user }) => {
            let methods: wire::Methods = client.get(&format!("/v1/users/{}/methods", segment(&user)))?;
            return print(global, &methods, super::user::methods_text);
        }
        SmsCommand::Test { user } => {
            client.post(&format!("/v1/users/{}/phone/test", segment(&user)), &serde_json::json!({}))?
        }
        SmsCommand::Send { to, text, expires } => {
            let seconds = u64::try_from(expires.as_secs())
                .map_err(|_| Failure::usage("--expires must not be negative"))?;
            client.post("/v1/messages", &wire::NewMessage { to, text, expires_s: Some(seconds) })?
        }
        SmsCommand::Show { id } => client.get(&format!("/v1/messages/{}", segment(&id)))?,
    };
    print(global, &message, |message| {
        let error = message.error.as_ref().map(|error| format!("\nerror  {error}")).unwrap_or_default();
        format!(
            "id     {}\nstate  {}\nparts  {}\nmodem  {}\nat     {}{error}",
            message.id,
            message.state,
            message.parts,
            message.modem.as_deref().unwrap_or("none yet"),
            message.at
        )
    })
}
