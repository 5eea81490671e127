//! `countersign demo`, and the hidden command through which its children start.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::output::Failure;
use super::{EXIT_DONE, EXIT_REFUSED, Global};
use crate::demo::{self, DirectoryError, Options, Screen, SiteError};

/// Show the whole appliance on this machine: software HSM, emulated modem, daemon, and a few people.
///
/// Runs nine steps and checks each, then stays up for you to try until Ctrl-C; everything it started ends
/// with it, even when it is killed (a temporary directory stays then). Needs SoftHSM 2, and no privileges.
/// Exit 0 when every step held.
#[derive(Args)]
pub(super) struct DemoArgs {
    /// End after the steps.
    #[arg(long)]
    exit: bool,
    /// Keep the state here, and leave it here: a new or empty directory, or one of a former demo, whose state
    /// is removed first. Without it, a temporary directory that is removed at the end.
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

/// Another command that ends with its parent.
#[derive(Args)]
pub(super) struct ChildArgs {
    /// Process id of the parent.
    parent: u32,
    /// The other command.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    command: Vec<OsString>,
}

pub(super) fn run(global: &Global, args: DemoArgs) -> Result<ExitCode, Failure> {
    let options = Options { exit: args.exit, state: args.state };
    let held = demo::run(&options, &mut Screen::new(global.json, global.quiet)).map_err(failure)?;
    Ok(ExitCode::from(if held { EXIT_DONE } else { EXIT_REFUSED }))
}

fn failure(error: anyhow::Error) -> Failure {
    let text = format!("{error:#}");
    if error.is::<DirectoryError>() {
        return Failure::usage(text);
    }
    match error.downcast_ref::<SiteError>() {
        Some(SiteError::NoSoftHsm) => Failure::unavailable(text),
        Some(_) => Failure::usage(text),
        None => Failure::unavailable(text),
    }
}

pub(super) fn child(args: &ChildArgs) -> Result<ExitCode, Failure> {
    Err(Failure::fault(demo::become_child(args.parent, &args.command)))
}
