//! `countersign role ...`: which roles operators have, and for which organisations (BIND-37).

use std::process::ExitCode;

use clap::Subcommand;
use serde::Serialize;

use super::Global;
use super::client::{Client, segment};
use super::operator::{describe, path};
use super::output::{Failure, print, table};
use crate::api::wire;

/// Give, take and list the roles of operators.
#[derive(Subcommand)]
pub(super) enum RoleCommand {
    /// Give an operator a role; ra and raa may be given for some organisations.
    Grant {
        /// Name of the operator.
        name: String,
        /// The role: admin, technician, helpdesk, auditor, ra, raa, sraa.
        role: String,
        /// An organisation that the role is given for; may be repeated. All by default. A role that is there is given for
        /// these instead.
        #[arg(long, value_name = "ORG")]
        scope: Vec<String>,
    },
    /// Take a role from an operator.
    Revoke {
        /// Name of the operator.
        name: String,
        /// The role.
        role: String,
    },
    /// List who has which role, and for which organisations.
    List {
        /// Only this operator's.
        name: Option<String>,
    },
}

/// One role of one operator.
#[derive(Serialize)]
struct Held {
    operator: String,
    role: String,
    /// What it was given for; null for all.
    scope: Option<Vec<String>>,
    /// What the configuration lets no role reach beyond; null for none.
    bounds: Option<Vec<String>>,
}

pub(super) fn run(global: &Global, command: RoleCommand) -> Result<ExitCode, Failure> {
    let client = Client::new(global)?;
    match command {
        RoleCommand::Grant { name, role, scope } => grant(global, &client, &name, role, scope),
        RoleCommand::Revoke { name, role } => revoke(global, &client, &name, &role),
        RoleCommand::List { name } => {
            let operators = match name {
                Some(name) => vec![client.get(&path(&name))?],
                None => client.get::<wire::List<wire::Operator>>("/v1/operators")?.items,
            };
            let items: Vec<Held> = operators.iter().flat_map(held).collect();
            print(global, &wire::List { items, next: None }, listed)
        }
    }
}

/// Gives a role and shows the operator.
pub(super) fn grant(
    global: &Global,
    client: &Client<'_>,
    name: &str,
    role: String,
    scope: Vec<String>,
) -> Result<ExitCode, Failure> {
    let gift = wire::RoleGift { role, scope };
    let changed: wire::Operator = client.post(&format!("{}/roles", path(name)), &gift)?;
    print(global, &changed, describe)
}

/// Takes a role and shows the operator.
pub(super) fn revoke(
    global: &Global,
    client: &Client<'_>,
    name: &str,
    role: &str,
) -> Result<ExitCode, Failure> {
    let changed: wire::Operator = client.remove(&format!("{}/roles/{}", path(name), segment(role)))?;
    print(global, &changed, describe)
}

fn held(operator: &wire::Operator) -> Vec<Held> {
    let roles = operator.roles.iter().filter(|_| operator.revoked_at.is_none());
    let held = |role: &String| Held {
        operator: operator.name.clone(),
        role: role.clone(),
        scope: operator.scopes.get(role).cloned(),
        bounds: operator.bounds.clone(),
    };
    roles.map(held).collect()
}

fn listed(list: &wire::List<Held>) -> String {
    let names = |names: &Option<Vec<String>>, none: &str| match names {
        Some(names) => names.join(", "),
        None => none.to_owned(),
    };
    let row = |held: &Held| {
        [held.operator.clone(), held.role.clone(), names(&held.scope, "all"), names(&held.bounds, "")]
    };
    let rows: Vec<[String; 4]> = list.items.iter().map(row).collect();
    table(["OPERATOR", "ROLE", "SCOPE", "BOUNDS"], &rows)
}
