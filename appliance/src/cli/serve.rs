//! `countersign serve`.

use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

use super::output::Failure;
use super::{EXIT_DONE, Global};
use crate::{config, daemon};

pub(super) fn run(global: &Global) -> Result<ExitCode, Failure> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
    let config = config::load(&global.config).map_err(Failure::usage)?;
    for key in &config.idle_keys {
        tracing::warn!(key, "understood, but without effect in this version");
    }
    daemon::serve(config, &global.config).map_err(|error| Failure::unavailable(format!("{error:#}")))?;
    Ok(ExitCode::from(EXIT_DONE))
}
