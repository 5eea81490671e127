//! `countersign config ...`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;

use super::output::{Failure, print};
use super::{EXIT_USAGE, Global};
use crate::config::{self, ConfigError};

/// Check configuration files.
#[derive(Subcommand)]
pub(super) enum ConfigCommand {
    /// Check a file and print each finding as `file:line: key: text`. Needs no daemon.
    Check {
        /// The file; the one of --config by default.
        file: Option<PathBuf>,
    },
}

pub(super) fn run(global: &Global, command: ConfigCommand) -> Result<ExitCode, Failure> {
    let ConfigCommand::Check { file } = command;
    let path = file.unwrap_or_else(|| global.config.clone());
    match config::load(&path) {
        Ok(config) => {
            for key in &config.idle_keys {
                eprintln!("{}: {key}: understood, but without effect in this version", path.display());
            }
            let ok = json!({ "file": path, "findings": [] });
            print(global, &ok, |_| format!("{}: no findings", path.display()))
        }
        Err(ConfigError::Findings(path, findings)) => {
            if global.json {
                let found: Vec<_> = findings
                    .iter()
                    .map(|f| json!({ "line": f.line, "key": f.key, "text": f.text }))
                    .collect();
                println!("{}", json!({ "file": path, "findings": found }));
            } else {
                println!("{}", ConfigError::Findings(path, findings));
            }
            Ok(ExitCode::from(EXIT_USAGE))
        }
        Err(error) => Err(Failure::usage(error)),
    }
}
