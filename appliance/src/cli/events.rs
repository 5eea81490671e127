//! `countersign events`.

use std::process::ExitCode;

use clap::Args;

use super::Global;
use super::client::{Client, segment};
use super::output::{Failure, print, table};
use crate::api::wire;

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
    /// As many at the most.
    #[arg(long, default_value_t = 100)]
    limit: usize,
}

pub(super) fn run(global: &Global, args: &EventsArgs) -> Result<ExitCode, Failure> {
    let mut path = format!("/v1/events?after={}&limit={}", args.after, args.limit);
    for (name, value) in [("user", &args.user), ("token", &args.token), ("type", &args.kind)] {
        if let Some(value) = value {
            path.push_str(&format!("&{name}={}", segment(value)));
        }
    }
    let list: wire::List<wire::Event> = Client::new(global)?.get(&path)?;
    print(global, &list, |list| {
        let rows: Vec<[String; 6]> = list.items.iter().map(row).collect();
        table(["SEQ", "AT", "TYPE", "OUTCOME", "ACTOR", "ABOUT"], &rows)
    })
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
