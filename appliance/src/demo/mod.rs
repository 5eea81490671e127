//! `countersign demo`: the whole appliance on one machine, with a software HSM and an emulated modem.
//!
//! It knows no more than a customer does: it runs this very binary, speaks the API, and reads what the
//! emulated modem writes down. The phones' part it plays itself.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;

mod authenticator;
mod command;
mod directory;
mod http;
mod record;
mod screen;
mod service;
mod site;
mod stage;
mod steps;
mod stop;
mod tour;
mod visitor;

pub(crate) use directory::DirectoryError;
pub(crate) use screen::Screen;
pub(crate) use service::{DEMO_CHILD, become_child};
pub(crate) use site::SiteError;

use directory::Directory;
use site::Site;
use stage::Stage;
use stop::{Stop, Stopped};

/// What a newcomer is told first.
const INTRODUCTION: &str = "
A whole Countersign appliance on this machine: SoftHSM 2 in place of an HSM, an emulated GSM modem,
and a phone that the demo plays itself. Everything else is the real thing.";
/// How often a demo that stays looks after its children.
const LOOK: Duration = Duration::from_millis(200);

/// What the command line asks for.
pub(crate) struct Options {
    /// End after the steps.
    pub(crate) exit: bool,
    /// The state directory; a temporary one without it.
    pub(crate) state: Option<PathBuf>,
}

/// Runs the demo to its end; whether it did what it was asked to.
///
/// # Errors
/// [`DirectoryError`] and [`SiteError`] before anything has started; else faults of this machine. A step that
/// does not hold is no error.
pub(crate) fn run(options: &Options, screen: &mut Screen) -> anyhow::Result<bool> {
    let began = Instant::now();
    let stop = Stop::listen().context("listen for signals")?;
    // First in, last out: the children have ended when it goes.
    let directory = Directory::open(options.state.as_deref())?;
    let site = Site::prepare(directory.path())?;
    screen.state(directory.path())?;
    screen.say(INTRODUCTION)?;
    let mut stage = Stage::new(&site, &stop, screen);
    let done = play(&mut stage, options.exit, began);
    let ended = stage.end();
    let held = done?;
    ended?;
    Ok(held)
}

fn play(stage: &mut Stage<'_>, exit: bool, began: Instant) -> anyhow::Result<bool> {
    let report = match steps::run(stage, began) {
        Err(error) if error.is::<Stopped>() => {
            stage.screen.say("\nStopped before the last step.")?;
            return Ok(!exit);
        }
        report => report?,
    };
    let record = stage.record();
    if let Some(record) = &record {
        record.write(stage.site.dir())?;
    }
    stage.screen.document(&report)?;
    let (Some(record), false) = (record, exit) else { return Ok(report.held) };
    tour::show(stage, &record)?;
    match stay(stage) {
        Err(error) if error.is::<Stopped>() => Ok(report.held),
        Err(error) => Err(error),
        Ok(never) => match never {},
    }
}

/// Returns when a signal comes or a child ends by itself.
fn stay(stage: &mut Stage<'_>) -> anyhow::Result<std::convert::Infallible> {
    loop {
        stage.stop.pause(LOOK)?;
        stage.look_after()?;
    }
}
