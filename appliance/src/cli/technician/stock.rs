//! `countersign technician stock`: hardware tokens and where they are.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::super::Global;
use super::super::client::{Client, segment};
use super::super::output::{Failure, print, table};
use crate::api::wire;

/// Hardware tokens, and where they are; without a subcommand, list them.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(in super::super) struct StockArgs {
    #[command(subcommand)]
    command: Option<StockCommand>,
    #[command(flatten)]
    part: Part,
}

/// Which part of the stock.
#[derive(Args)]
struct Part {
    /// Of this batch only.
    #[arg(long)]
    batch: Option<String>,
}

#[derive(Subcommand)]
enum StockCommand {
    /// List hardware tokens, and where they are.
    List(Part),
    /// Take the token at a port into stock: it gets a secret. As `technician provision`.
    In(super::ProvisionArgs),
    /// Give a token from stock to a user. Technicians may not: an administrator does it.
    Assign {
        /// Serial of the token.
        serial: String,
        /// The user.
        #[arg(long)]
        user: String,
    },
    /// Take a token back from its user: its codes are not accepted any more. Then plug it in, and take it in.
    Return {
        /// Serial of the token.
        serial: String,
    },
}

pub(super) fn run(global: &Global, args: StockArgs) -> Result<ExitCode, Failure> {
    let client = Client::new(global)?;
    match args.command {
        None => list(global, &client, args.part.batch.as_deref()),
        Some(StockCommand::List(part)) => list(global, &client, part.batch.as_deref()),
        Some(StockCommand::In(args)) => super::provision(global, &client, args),
        Some(StockCommand::Assign { serial, user }) => {
            let path = format!("/v1/tokens/{}/assign", segment(&serial));
            let token: wire::Token = client.post(&path, &wire::Assignment { user })?;
            print(global, &token, |token| format!("{} is assigned", token.serial))
        }
        Some(StockCommand::Return { serial }) => {
            let path = format!("/v1/tokens/{}/revoke", segment(&serial));
            let token: wire::Token = client.post(&path, &serde_json::json!({}))?;
            print(global, &token, |token| {
                format!("{} is nobody's any more; plug it in and take it into stock", token.serial)
            })
        }
    }
}

fn list(global: &Global, client: &Client<'_>, batch: Option<&str>) -> Result<ExitCode, Failure> {
    let mut items: Vec<wire::StockItem> = Vec::new();
    let mut after = String::new();
    loop {
        let mut path = format!("/v1/provisioning/stock?after={}", segment(&after));
        if let Some(batch) = batch {
            path += &format!("&batch={}", segment(batch));
        }
        let page: wire::List<wire::StockItem> = client.get(&path)?;
        items.extend(page.items);
        match page.next {
            Some(next) => after = next,
            None => break,
        }
    }
    print(global, &items, |items| {
        let row = |item: &wire::StockItem| {
            // The version without the hash, which `firmware info` shows.
            let firmware = item.firmware.split(' ').next().unwrap_or_default().to_owned();
            [item.batch.clone().unwrap_or_default(), item.serial.clone(), item.state.clone(), firmware]
        };
        let mut rows: Vec<[String; 4]> = items.iter().map(row).collect();
        rows.sort();
        table(["BATCH", "SERIAL", "STATE", "FIRMWARE"], &rows)
    })
}
