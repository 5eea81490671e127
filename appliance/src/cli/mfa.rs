//! `countersign mfa ...`: what phones show of the appliance (COMB-11).

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use super::Global;
use super::client::Client;
use super::output::{Failure, print};
use crate::api::wire;
use crate::config::logo;
use crate::flows::push::logo::PATH as SERVED;

const PATH: &str = "/v1/mfa/logo";

/// What phones show of the appliance.
#[derive(Subcommand)]
pub(super) enum MfaCommand {
    /// The picture beside an account.
    #[command(subcommand)]
    Logo(LogoCommand),
}

/// The picture beside an account. Phones that register from then on are told its address.
#[derive(Subcommand)]
pub(super) enum LogoCommand {
    /// Store a picture: PNG or JPEG, up to 1 MiB and 1024 x 1024 pixels. The appliance serves it to phones.
    Set {
        /// The file.
        file: PathBuf,
    },
    /// Show what is stored, and the address that phones are told.
    Show,
    /// Erase the picture; phones that registered before keep it, or a gap.
    Clear,
}

pub(super) fn run(global: &Global, command: MfaCommand) -> Result<ExitCode, Failure> {
    let MfaCommand::Logo(command) = command;
    let client = Client::new(global)?;
    match command {
        LogoCommand::Set { file } => {
            let picture = logo::read(&file)
                .map_err(|wrong| Failure::usage(format!("{}: the picture {wrong}", file.display())))?;
            let stored: wire::Logo = client.put_file(PATH, picture.kind, picture.bytes)?;
            print(global, &stored, told)
        }
        LogoCommand::Show => {
            let found: wire::Logo = client.get(PATH)?;
            print(global, &found, told)
        }
        LogoCommand::Clear => {
            client.delete(PATH)?;
            print(global, &serde_json::json!({ "cleared": true }), |_| {
                "no picture is stored any more".to_owned()
            })
        }
    }
}

fn told(logo: &wire::Logo) -> String {
    let address = match &logo.url {
        None => "phones are told no address: [push] is not configured".to_owned(),
        Some(url) if url.ends_with(SERVED) => format!("phones are told {url}"),
        Some(url) => {
            format!("phones are told {url}, as mfa.logo_url says: take that out to use this picture")
        }
    };
    let wire::Logo { kind, width, height, bytes, set_at, .. } = logo;
    format!("{kind}, {width} x {height} pixels, {bytes} bytes, since {set_at}\n{address}")
}
