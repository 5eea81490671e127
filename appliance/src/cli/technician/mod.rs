//! `countersign technician ...`: hardware tokens at the bench. The station drives the serial line; keys and secrets
//! are the appliance's and the HSM's, and nothing of a secret ever passes here in clear.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

use super::client::Client;
use super::output::{Failure, print, table};
use super::{EXIT_DONE, EXIT_REFUSED, Global};

mod batch;
mod board;
mod desk;
pub(crate) mod emulator;
mod files;
mod interrupt;
mod labels;
mod line;
mod ports;
mod screen;
mod seat;
mod station;
mod stock;
mod work;

use ports::{Devices, Port};
use work::Outcome;

/// Hardware tokens at the bench.
#[derive(Subcommand)]
pub(super) enum TechnicianCommand {
    /// List the tokens that are plugged in: each is asked who it is. Changes nothing.
    List(Devices),
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
    /// Open a batch, where it takes two persons to provision.
    OpenBatch {
        /// Its name.
        name: String,
    },
    Stock(stock::StockArgs),
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
    /// A checksum digit after each code, with the type hotp.
    #[arg(long)]
    checksum: bool,
    /// Truncation offset, with the type hotp: 0 to 15, or -1 for the dynamic one.
    #[arg(long, allow_negative_numbers = true)]
    truncation_offset: Option<i8>,
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
        TechnicianCommand::List(devices) => list(global, &devices),
        TechnicianCommand::Identify(at) => report(global, &work::identify(&at.choose()?)?),
        TechnicianCommand::Attest(at) => report(global, &work::attest(&client, &at.choose()?)?),
        TechnicianCommand::Provision(args) => provision(global, &client, args),
        TechnicianCommand::Verify { serial, code } => {
            super::verify::run(global, super::verify::VerifyArgs::of_token(serial, code))
        }
        TechnicianCommand::SetClock(at) => report(global, &work::order(&client, &at.choose()?, "set-clock")?),
        TechnicianCommand::Lock(at) => report(global, &work::order(&client, &at.choose()?, "lock")?),
        TechnicianCommand::Return(at) => report(global, &work::order(&client, &at.choose()?, "return")?),
        TechnicianCommand::Wipe(at) => report(global, &work::order(&client, &at.choose()?, "wipe")?),
        TechnicianCommand::Station(args) => station::run(global, &args),
        TechnicianCommand::OpenBatch { name } => super::approval::open_batch(global, &client, name),
        TechnicianCommand::Stock(args) => stock::run(global, args),
        TechnicianCommand::Firmware(FirmwareCommand::Info(at)) => firmware(global, &at),
    }
}

fn provision(global: &Global, client: &Client<'_>, args: ProvisionArgs) -> Result<ExitCode, Failure> {
    let wanted = work::Wanted {
        kind: args.kind.name(),
        algorithm: args.algorithm,
        digits: args.digits,
        question_digits: args.question_digits,
        checksum: args.checksum.then_some(true),
        truncation_offset: args.truncation_offset,
        slot: args.slot,
        batch: args.batch,
    };
    let quiet = global.quiet || global.json;
    let tell = |text: &str| {
        if !quiet {
            eprintln!("{text}");
        }
    };
    report(global, &work::provision(client, &args.at.choose()?, &wanted, &tell)?)
}

fn firmware(global: &Global, at: &Port) -> Result<ExitCode, Failure> {
    match work::firmware(&at.choose()?)? {
        Ok(firmware) => print(global, &firmware, |firmware| {
            format!("version  {}\nhash     {}", firmware.version, firmware.hash)
        }),
        Err(text) => Err(Failure::refused(text)),
    }
}

/// A port, and what is found there.
#[derive(Serialize)]
struct Listed {
    port: PathBuf,
    #[serde(flatten)]
    found: Outcome,
}

fn list(global: &Global, devices: &Devices) -> Result<ExitCode, Failure> {
    let ports = devices.all();
    // A port where nothing answers takes seconds: all are asked at once.
    let found: Vec<Outcome> = std::thread::scope(|scope| {
        let asked: Vec<_> = ports.iter().map(|port| scope.spawn(|| found_at(port))).collect();
        asked
            .into_iter()
            .map(|asked| asked.join().map_err(|_| Failure::fault("a port's thread ended early")))
            .collect::<Result<_, _>>()
    })?;
    let listed: Vec<Listed> =
        ports.into_iter().zip(found).map(|(port, found)| Listed { port, found }).collect();
    print(global, &listed, |listed| {
        let row = |one: &Listed| {
            let firmware = one.found.firmware.split(' ').next().unwrap_or_default().to_owned();
            let serial = one.found.serial.clone().unwrap_or_default();
            let error = one.found.error.clone().unwrap_or_default();
            [one.port.display().to_string(), serial, one.found.state.clone(), firmware, error]
        };
        let rows: Vec<[String; 5]> = listed.iter().map(row).collect();
        table(["PORT", "SERIAL", "STATE", "FIRMWARE", "ERROR"], &rows)
    })
}

fn found_at(port: &Path) -> Outcome {
    work::identify(port).unwrap_or_else(|failure| Outcome::unknown(failure.to_string()))
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
