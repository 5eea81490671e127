//! `countersign approve` and `countersign approval ...`: acts that take two persons.

use std::process::ExitCode;

use clap::Subcommand;

use super::Global;
use super::client::{Client, segment};
use super::output::{Failure, print, table};
use crate::api::wire;

/// List, show and deny acts that wait for a second person.
#[derive(Subcommand)]
pub(super) enum ApprovalCommand {
    /// List those that wait or stand open.
    List,
    /// Show one, whatever has become of it.
    Show {
        /// The handle.
        id: String,
    },
    /// Deny one, or take an own one back.
    Deny {
        /// The handle.
        id: String,
    },
}

pub(super) fn run(global: &Global, command: ApprovalCommand) -> Result<ExitCode, Failure> {
    let client = Client::new(global)?;
    match command {
        ApprovalCommand::List => {
            let list: wire::List<wire::Approval> = client.get("/v1/approvals")?;
            print(global, &list, approvals_table)
        }
        ApprovalCommand::Show { id } => {
            let found: wire::Approval = client.get(&path(&id))?;
            print(global, &found, describe)
        }
        ApprovalCommand::Deny { id } => {
            let path = format!("{}/deny", path(&id));
            let denied: wire::Approval = client.post(&path, &serde_json::json!({}))?;
            print(global, &denied, describe)
        }
    }
}

/// Says yes as the second person.
pub(super) fn approve(global: &Global, id: &str) -> Result<ExitCode, Failure> {
    let path = format!("{}/approve", path(id));
    let done: wire::Approval = Client::new(global)?.post(&path, &serde_json::json!({}))?;
    print(global, &done, |done| {
        let next = match (done.state.as_str(), done.act.as_str()) {
            ("approved", "batch.open") => format!("\n\nThe batch is open until {}.", done.expires_at),
            ("approved", _) => {
                format!("\n\n{} runs the same command again until {}.", done.requested_by, done.expires_at)
            }
            _ => String::new(),
        };
        describe(done) + &next
    })
}

/// Opens a batch, or asks for it.
pub(super) fn open_batch(global: &Global, client: &Client<'_>, name: String) -> Result<ExitCode, Failure> {
    let open: wire::OpenBatch = client.post("/v1/provisioning/batches", &wire::NewBatch { name })?;
    print(global, &open, |open| match &open.until {
        None => format!("{}: batches need no opening here", open.name),
        Some(until) => format!("{} is open until {until}", open.name),
    })
}

fn path(id: &str) -> String {
    format!("/v1/approvals/{}", segment(id))
}

fn describe(approval: &wire::Approval) -> String {
    let none = || "none".to_owned();
    format!(
        "approval  {}\nact       {}\narguments {}\nstate     {}\nasked by  {} at {}\nends      {}\ndecided   {}",
        approval.approval,
        approval.act,
        approval.arguments,
        approval.state,
        approval.requested_by,
        approval.requested_at,
        approval.expires_at,
        approval.decided_by.clone().unwrap_or_else(none)
    )
}

fn approvals_table(list: &wire::List<wire::Approval>) -> String {
    let row = |approval: &wire::Approval| {
        [
            approval.approval.clone(),
            approval.state.clone(),
            approval.requested_by.clone(),
            approval.act.clone(),
            approval.arguments.to_string(),
        ]
    };
    let rows: Vec<[String; 5]> = list.items.iter().map(row).collect();
    table(["APPROVAL", "STATE", "ASKED BY", "ACT", "ARGUMENTS"], &rows)
}
