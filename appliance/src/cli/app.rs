//! `countersign app ...`: client applications.

use std::process::ExitCode;

use clap::Subcommand;

use super::Global;
use super::client::{Client, segment};
use super::output::{Failure, print, table};
use crate::api::wire;

/// Add, list and revoke client applications.
#[derive(Subcommand)]
pub(super) enum AppCommand {
    /// Add an application and print its key, once.
    Add {
        /// Name.
        name: String,
        /// What it may do: verify, challenge, users:read, users:write, tokens:write, phone:assert,
        /// events:read, provision, admin, ...
        #[arg(long, value_name = "SCOPE", value_delimiter = ',', required = true)]
        scope: Vec<String>,
    },
    /// List applications.
    List,
    /// End an application's key at once.
    Revoke {
        /// Name.
        name: String,
    },
}

pub(super) fn run(global: &Global, command: AppCommand) -> Result<ExitCode, Failure> {
    let client = Client::new(global)?;
    match command {
        AppCommand::Add { name, scope } => {
            let new = wire::NewApplication { name, scopes: scope };
            let key: wire::ApplicationKey = client.post("/v1/applications", &new)?;
            print(global, &key, |key| format!("{}\n\nKeep the key: it is not shown again.", key.key))
        }
        AppCommand::List => {
            let list: wire::List<wire::Application> = client.get("/v1/applications")?;
            print(global, &list, |list| {
                let rows: Vec<[String; 3]> = list
                    .items
                    .iter()
                    .map(|app| {
                        let state = if app.revoked_at.is_some() { "revoked" } else { "active" };
                        [app.name.clone(), state.to_owned(), app.scopes.join(" ")]
                    })
                    .collect();
                table(["NAME", "STATE", "SCOPES"], &rows)
            })
        }
        AppCommand::Revoke { name } => {
            client.delete(&format!("/v1/applications/{}", segment(&name)))?;
            print(global, &serde_json::json!({ "revoked": name }), |_| format!("{name} is revoked"))
        }
    }
}
