//! `countersign technician ...`: hardware tokens at the bench. The station drives the serial line; keys and secrets
//! are the appliance's and the HSM's, and nothing of a secret ever passes here in clear.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

use super::client::Client;
use super::output::{Failure, print, table};
use super::{EXIT_DONE, EXIT_REFUSED, Global};

mod batch;
mod board;
mod emulator;
mod files;
mod labels;
mod line;
mod screen;
mod seat;
mod station;
mod stock;
mod work;

use work::Outcome;

/// Hardware tokens at the bench.
#[derive(Subcommand)]
pub(super) enum TechnicianCommand {
    /// List serial ports that may have a token.
    List,
    /// Ask the token at a port who it is. Changes nothing.
    Identify(Port),
    /// Check the maker's word for the token at a port.
    Attest(Port),
    /// Give the token at a port a secret that the HSM makes; finishes or clears what was interrupted.
    Provision(ProvisionArgs),
    /// Verify a code that the token's display shows.
    Verify {
        /// Serial of the token.
        serial: String,
        /// The code on its display.
        code: String,
    },
    /// Set the token's clock.
    SetClock(Port),
    /// Let the token take no more secrets: it leaves the bench.
    Lock(Port),
    /// Back into stock: the token erases its secrets and keeps its owner.
    Return(Port),
    /// The token erases everything of its owner.
    Wipe(Port),
    Station(station::StationArgs),
    /// List hardware tokens, and where they are.
    Stock {
        /// Of this batch only.
        #[arg(long)]
        batch: Option<String>,
    },
    /// The token's firmware.
    #[command(subcommand)]
    Firmware(FirmwareCommand),
}

/// The token's firmware.
#[derive(Subcommand)]
pub(super) enum FirmwareCommand {
    /// Ask the token at a port for the version and hash of its image. Changes nothing.
    Info(Port),
}

/// Where the token is plugged in.
#[derive(Args)]
pub(super) struct Port {
    /// Serial port.
    #[arg(long, value_name = "PATH")]
    port: PathBuf,
}

/// What codes move with.
#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    /// Time (RFC 6238).
    Totp,
    /// A counter (RFC 4226).
    Hotp,
    /// A question that the user types into the token (RFC 6287).
    Ocra,
}

impl Kind {
    /// As the API spells it.
    fn name(self) -> &'static str {
        match self {
            Kind::Totp => "totp",
            Kind::Hotp => "hotp",
            Kind::Ocra => "ocra",
        }
    }
}

/// What the token shall become.
#[derive(Args)]
pub(super) struct ProvisionArgs {
    #[command(flatten)]
    at: Port,
    /// What codes move with.
    #[arg(long = "type", default_value = "totp")]
    kind: Kind,
    /// SHA1 (default), SHA256 or SHA512.
    #[arg(long)]
    algorithm: Option<String>,
    /// 6 (default) to 10.
    #[arg(long)]
    digits: Option<u8>,
    /// Digits of a question, with the type ocra: 4 to 10, 8 by default.
    #[arg(long)]
    question_digits: Option<u8>,
    /// The slot to fill.
    #[arg(long, default_value_t = 0)]
    slot: u8,
    /// The batch it belongs to.
    #[arg(long)]
    batch: Option<String>,
}

pub(super) fn run(global: &Global, command: TechnicianCommand) -> Result<ExitCode, Failure> {
    let client = Client::new(global)?;
    match command {
        TechnicianCommand::List => list(global),
        TechnicianCommand::Identify(at) => report(global, &work::identify(&at.port)?),
        TechnicianCommand::Attest(at) => report(global, &work::attest(&client, &at.port)?),
        TechnicianCommand::Provision(args) => {
            let wanted = work::Wanted {
                kind: args.kind.name(),
                algorithm: args.algorithm,
                digits: args.digits,
                question_digits: args.question_digits,
                slot: args.slot,
                batch: args.batch,
            };
            let quiet = global.quiet || global.json;
            let tell = |text: &str| {
                if !quiet {
                    eprintln!("{text}");
                }
            };
            report(global, &work::provision(&client, &args.at.port, &wanted, &tell)?)
        }
        TechnicianCommand::Verify { serial, code } => {
            super::verify::run(global, super::verify::VerifyArgs::of_token(serial, code))
        }
        TechnicianCommand::SetClock(at) => report(global, &work::order(&client, &at.port, "set-clock")?),
        TechnicianCommand::Lock(at) => report(global, &work::order(&client, &at.port, "lock")?),
        TechnicianCommand::Return(at) => report(global, &work::order(&client, &at.port, "return")?),
        TechnicianCommand::Wipe(at) => report(global, &work::order(&client, &at.port, "wipe")?),
        TechnicianCommand::Station(args) => station::run(global, &args),
        TechnicianCommand::Stock { batch } => stock::run(global, batch.as_deref()),
        TechnicianCommand::Firmware(FirmwareCommand::Info(at)) => firmware(global, &at),
    }
}

fn firmware(global: &Global, at: &Port) -> Result<ExitCode, Failure> {
    match work::firmware(&at.port)? {
        Ok(firmware) => print(global, &firmware, |firmware| {
            format!("version  {}\nhash     {}", firmware.version, firmware.hash)
        }),
        Err(text) => Err(Failure::refused(text)),
    }
}

/// A port as it is listed.
#[derive(Serialize)]
struct Listed {
    port: String,
    usb: Option<String>,
}

fn list(global: &Global) -> Result<ExitCode, Failure> {
    let found = serialport::available_ports().map_err(Failure::unavailable)?;
    let ports: Vec<Listed> = found
        .into_iter()
        .map(|port| Listed {
            port: port.port_name,
            usb: match port.port_type {
                serialport::SerialPortType::UsbPort(usb) => {
                    let name = usb.product.unwrap_or_default();
                    Some(format!("{:04x}:{:04x} {name}", usb.vid, usb.pid).trim_end().to_owned())
                }
                _ => None,
            },
        })
        .collect();
    print(global, &ports, |ports| {
        let rows: Vec<[String; 2]> =
            ports.iter().map(|p| [p.port.clone(), p.usb.clone().unwrap_or_default()]).collect();
        table(["PORT", "USB"], &rows)
    })
}

fn report(global: &Global, outcome: &Outcome) -> Result<ExitCode, Failure> {
    print(global, outcome, |outcome| {
        let error = outcome.error.as_ref().map(|error| format!("\nerror        {error}")).unwrap_or_default();
        format!(
            "serial       {}\nstate        {}\nfirmware     {}\nfingerprint  {}{error}",
            outcome.serial.as_deref().unwrap_or("none yet"),
            outcome.state,
            outcome.firmware,
            outcome.fingerprint.as_deref().unwrap_or("nobody's")
        )
    })?;
    Ok(ExitCode::from(if outcome.error.is_none() { EXIT_DONE } else { EXIT_REFUSED }))
}
