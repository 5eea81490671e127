//! `countersign events`.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::client::{Client, segment};
use super::output::{Failure, print_page, table};
use super::{EXIT_DONE, Global};
use crate::api::wire;

/// Time between two looks for new events.
const FOLLOW_EVERY: Duration = Duration::from_secs(1);
const HEADINGS: [&str; 6] = ["SEQ", "AT", "TYPE", "OUTCOME", "ACTOR", "ABOUT"];

/// List events in order.
#[derive(Args)]
pub(super) struct EventsArgs {
    /// Only events after this one.
    #[arg(long, default_value_t = 0, value_name = "SEQ")]
    after: i64,
    /// Only about this user.
    #[arg(long)]
    user: Option<String>,
    /// Only about this token.
    #[arg(long, value_name = "SERIAL")]
    token: Option<String>,
    /// Only this dotted name, or names below it.
    #[arg(long = "type", value_name = "NAME")]
    kind: Option<String>,
    /// As many at the most; with --follow as many at once.
    #[arg(long, default_value_t = 100)]
    limit: usize,
    /// Go on with what happens from then on, until it is stopped; with --json an event a line.
    #[arg(long)]
    follow: bool,
}

pub(super) fn run(global: &Global, args: &EventsArgs) -> Result<ExitCode, Failure> {
    let client = Client::new(global)?;
    if args.follow {
        return follow(global, &client, args);
    }
    let list = page(&client, args, args.after)?;
    print_page(global, &list, |list| {
        let rows: Vec<[String; 6]> = list.items.iter().map(row).collect();
        table(HEADINGS, &rows)
    })
}

fn page(client: &Client<'_>, args: &EventsArgs, after: i64) -> Result<wire::List<wire::Event>, Failure> {
    let mut path = format!("/v1/events?after={after}&limit={}", args.limit);
    for (name, value) in [("user", &args.user), ("token", &args.token), ("type", &args.kind)] {
        if let Some(value) = value {
            path.push_str(&format!("&{name}={}", segment(value)));
        }
    }
    client.get(&path)
}

/// Prints events as they come, until whoever reads them is gone.
fn follow(global: &Global, client: &Client<'_>, args: &EventsArgs) -> Result<ExitCode, Failure> {
    let mut out = std::io::stdout().lock();
    let mut after = args.after;
    loop {
        let list = page(client, args, after)?;
        for event in &list.items {
            after = event.seq;
            let line = if global.json {
                serde_json::to_string(event).map_err(Failure::fault)?
            } else {
                row(event).join("  ")
            };
            if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
                return Ok(ExitCode::from(EXIT_DONE));
            }
        }
        if list.next.is_none() {
            std::thread::sleep(FOLLOW_EVERY);
        }
    }
}

fn row(event: &wire::Event) -> [String; 6] {
    let outcome = match &event.reason {
        None => event.outcome.clone(),
        Some(reason) => format!("{}: {reason}", event.outcome),
    };
    let about: Vec<String> = event
        .subject
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    let actor = format!("{}:{}", event.actor.kind, event.actor.id);
    [event.seq.to_string(), event.at.clone(), event.kind.clone(), outcome, actor, about.join(" ")]
}
