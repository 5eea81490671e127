//! `countersign audit ...`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;

use super::output::{Failure, print};
use super::{EXIT_DONE, EXIT_REFUSED, Global};
use crate::config;
use crate::store::{DATABASE, StoreError, event};

/// Check the chain of events.
#[derive(Subcommand)]
pub(super) enum AuditCommand {
    /// Walk the whole chain; exit 1 if an event does not follow from the one before. Needs no daemon.
    Verify {
        /// The database; the one of the configured state directory by default.
        #[arg(long, value_name = "FILE")]
        db: Option<PathBuf>,
    },
}

pub(super) fn run(global: &Global, command: AuditCommand) -> Result<ExitCode, Failure> {
    let AuditCommand::Verify { db } = command;
    let db = match db {
        Some(db) => db,
        None => config::load(&global.config).map_err(Failure::usage)?.state_dir.join(DATABASE),
    };
    let unreadable = |error: StoreError| Failure::unavailable(format!("{}: {error}", db.display()));
    let connection = event::open_for_audit(&db).map_err(unreadable)?;
    let report = event::verify(&connection).map_err(unreadable)?;
    let head = data_encoding::HEXLOWER.encode(&report.head.hash);
    let shown = json!({
        "intact": report.first_bad.is_none(),
        "first_bad": report.first_bad,
        "head": head,
        "seq": report.head.seq,
    });
    print(global, &shown, |_| match report.first_bad {
        None => format!("intact: {} events, head {head}", report.head.seq),
        Some(seq) => format!("BROKEN at event {seq}: it does not follow from the one before"),
    })?;
    Ok(ExitCode::from(if report.first_bad.is_none() { EXIT_DONE } else { EXIT_REFUSED }))
}
