//! `countersign hsm ...`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand};
use hsm::{Hsm, HsmError, InitSpec, Status};

use super::client::Client;
use super::output::{Failure, print, table};
use super::{EXIT_DONE, EXIT_REFUSED, Global};
use crate::api::status::{check_view, info_view};
use crate::api::wire;
use crate::config::{self, Config};
use crate::daemon;

/// Longest time an initialisation may take: slow HSMs make keys slowly.
const INIT_DEADLINE: Duration = Duration::from_secs(120);

/// Initialise and inspect the HSM.
#[derive(Subcommand)]
pub(super) enum HsmCommand {
    /// Initialise a token and make the appliance's keys in it. Needs no daemon.
    Init(InitArgs),
    /// What the HSM says about itself, and what the self-test found.
    Info,
    /// Every attribute of every long-term key, against what it should be; exit 1 on any difference.
    Check,
    /// Allow one more try after a wrong PIN. Needs no daemon; restart it afterwards.
    Unlatch,
}

/// What an initialisation needs.
#[derive(Args)]
#[command(group = ArgGroup::new("which").required(true).multiple(true).args(["slot", "token_label"]))]
pub(super) struct InitArgs {
    /// The vendor's PKCS#11 library.
    #[arg(long, value_name = "FILE")]
    module: PathBuf,
    /// Slot to initialise; the first free one by default.
    #[arg(long)]
    slot: Option<u64>,
    /// Label that the token gets.
    #[arg(long)]
    token_label: Option<String>,
    /// File with the security officer's PIN, mode 0600.
    #[arg(long, value_name = "FILE")]
    so_pin_file: PathBuf,
    /// File with the user PIN, mode 0600.
    #[arg(long, value_name = "FILE")]
    pin_file: PathBuf,
    /// Environment variable for the module, as NAME=VALUE; SOFTHSM2_CONF is passed on by itself.
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<String>,
}

/// Label of a token that is initialised by slot alone.
const DEFAULT_LABEL: &str = "countersign";
/// Variables of well-known modules that an initialisation passes on to the child.
const PASSED_ON: [&str; 3] = ["SOFTHSM2_CONF", "PKCS11SPY", "PKCS11SPY_OUTPUT"];

pub(super) fn run(global: &Global, command: HsmCommand) -> Result<ExitCode, Failure> {
    match command {
        HsmCommand::Init(args) => init(global, args),
        HsmCommand::Info => info(global),
        HsmCommand::Check => check(global),
        HsmCommand::Unlatch => unlatch(global),
    }
}

fn failure(error: HsmError) -> Failure {
    let text = format!("{error}; {}", error.advice());
    match error {
        HsmError::Refused { .. } => Failure::refused(text),
        HsmError::ModuleMissing { .. } | HsmError::PinFile(_) => Failure::usage(text),
        _ => Failure::unavailable(text),
    }
}

fn init(global: &Global, args: InitArgs) -> Result<ExitCode, Failure> {
    let mut env: Vec<(String, String)> =
        PASSED_ON.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?))).collect();
    for pair in &args.env {
        let (name, value) =
            pair.split_once('=').ok_or_else(|| Failure::usage(format!("--env {pair}: write NAME=VALUE")))?;
        env.push((name.to_owned(), value.to_owned()));
    }
    let spec = InitSpec {
        module: args.module,
        env,
        slot: args.slot,
        token_label: args.token_label.unwrap_or_else(|| DEFAULT_LABEL.to_owned()),
        so_pin_file: args.so_pin_file,
        pin_file: args.pin_file,
    };
    let launcher = daemon::launcher().map_err(Failure::fault)?;
    let info = hsm::initialise(launcher, spec, INIT_DEADLINE).map_err(failure)?;
    print(global, &info_view(info), describe)
}

fn describe(info: &wire::HsmInfo) -> String {
    let mut text = format!(
        "module        {}\nmanufacturer  {}\ntoken         {}\nassurance     {}\nkey           generation {}\n",
        info.module, info.manufacturer, info.token_label, info.assurance, info.kek_generation
    );
    for (name, there) in &info.capabilities {
        text.push_str(&format!("  {} {name}\n", if *there { "yes" } else { "no " }));
    }
    text
}

fn load(global: &Global) -> Result<Config, Failure> {
    config::load(&global.config).map_err(Failure::usage)
}

/// Opens the HSM for this command alone: for when no daemon runs.
fn open(global: &Global) -> Result<Hsm, Failure> {
    let config = load(global)?;
    let launcher = daemon::launcher().map_err(Failure::fault)?;
    let hsm = Hsm::start(launcher, daemon::hsm_settings(&config));
    match hsm.status() {
        Status::Up { .. } => Ok(hsm),
        Status::Down { error } => Err(failure(error)),
    }
}

fn info(global: &Global) -> Result<ExitCode, Failure> {
    let client = Client::new(global)?;
    let info = if client.has_daemon() {
        client.get("/v1/hsm")?
    } else {
        info_view(open(global)?.info().map_err(failure)?)
    };
    print(global, &info, describe)
}

fn check(global: &Global) -> Result<ExitCode, Failure> {
    let client = Client::new(global)?;
    let checks = if client.has_daemon() {
        client.get::<wire::List<wire::AttributeCheck>>("/v1/hsm/check")?.items
    } else {
        open(global)?.check().map_err(failure)?.into_iter().map(check_view).collect()
    };
    let all_ok = checks.iter().all(|check| check.ok);
    print(global, &checks, |checks| {
        let rows: Vec<[String; 5]> = checks
            .iter()
            .map(|c| {
                let ok = if c.ok { "ok" } else { "BAD" }.to_owned();
                [c.object.clone(), c.attribute.clone(), c.expected.clone(), c.reported.clone(), ok]
            })
            .collect();
        table(["KEY", "ATTRIBUTE", "EXPECTED", "REPORTED", ""], &rows)
    })?;
    Ok(ExitCode::from(if all_ok { EXIT_DONE } else { EXIT_REFUSED }))
}

fn unlatch(global: &Global) -> Result<ExitCode, Failure> {
    let latch = load(global)?.state_dir.join(daemon::HSM_LATCH);
    let was_latched =
        hsm::unlatch(&latch).map_err(|error| Failure::fault(format!("{}: {error}", latch.display())))?;
    print(global, &serde_json::json!({ "unlatched": was_latched }), |_| {
        if was_latched {
            "the PIN may be tried once more: restart the daemon".to_owned()
        } else {
            "the PIN was not latched".to_owned()
        }
    })
}
