//! `countersign config ...`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;

use super::client::Client;
use super::output::{Failure, print};
use super::{EXIT_USAGE, Global};
use crate::api::wire;
use crate::config::{self, ConfigError};

/// Check the configuration, and let it take effect.
#[derive(Subcommand)]
pub(super) enum ConfigCommand {
    /// Check a file, and the own texts that it names: each finding is `file:line: key: text`. Needs no daemon.
    Check {
        /// The file; the one of --config by default.
        file: Option<PathBuf>,
    },
    /// Let the daemon read its configuration file again. With a fault in it the former one stays in effect.
    Activate,
}

pub(super) fn run(global: &Global, command: ConfigCommand) -> Result<ExitCode, Failure> {
    let file = match command {
        ConfigCommand::Check { file } => file,
        ConfigCommand::Activate => return activate(global),
    };
    let path = file.unwrap_or_else(|| global.config.clone());
    match config::load(&path) {
        Ok(config) => {
            for key in &config.idle_keys {
                eprintln!("{}: {key}: understood, but without effect in this version", path.display());
            }
            for (key, why) in config.push.iter().flat_map(|push| push.warnings()) {
                eprintln!("{}: {key}: {why}", path.display());
            }
            if let Some((key, text)) = config.desk_warning() {
                eprintln!("{}: {key}: {text}", path.display());
            }
            for (key, text) in config.delivery.outward() {
                eprintln!("{}: {key}: {text}", path.display());
            }
            super::messages::warn_of_parts(&config);
            let ok = json!({ "file": path, "findings": [] });
            print(global, &ok, |_| format!("{}: no findings", path.display()))
        }
        Err(ConfigError::Findings(path, findings)) => {
            if global.json {
                let found: Vec<_> = findings
                    .iter()
                    .map(|f| {
                        let file = f.file.as_ref().unwrap_or(&path);
                        json!({ "file": file, "line": f.line, "key": f.key, "text": f.text })
                    })
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

fn activate(global: &Global) -> Result<ExitCode, Failure> {
    let done: wire::Activated = Client::new(global)?.post("/v1/config/activate", &json!({}))?;
    print(global, &done, |done| format!("in effect: SHA-256 {}", done.sha256))
}
