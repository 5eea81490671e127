//! `countersign operator ...` and `countersign whoami`: people with roles.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::Subcommand;

use super::Global;
use super::client::{Client, segment};
use super::output::{Failure, print, table};
use super::role;
use crate::api::wire;

/// Say who is an operator, and what each may do.
#[derive(Subcommand)]
pub(super) enum OperatorCommand {
    /// Make a user an operator; the user is added where there is none.
    Add {
        /// Name of the user.
        name: String,
        /// The uid that the operator has on this machine.
        #[arg(long)]
        uid: u32,
        /// What the operator is: admin, technician, helpdesk, auditor, ra, raa, sraa.
        #[arg(long, value_name = "ROLE", value_delimiter = ',', required = true)]
        role: Vec<String>,
        /// An organisation that ra and raa are given for; may be repeated. All by default.
        #[arg(long, value_name = "ORG")]
        scope: Vec<String>,
    },
    /// List operators.
    List,
    /// Show an operator.
    Show {
        /// Name.
        name: String,
    },
    /// End an operator at once; the user stays.
    Revoke {
        /// Name.
        name: String,
    },
    /// Give and take roles, as `countersign role` does.
    #[command(subcommand)]
    Role(RoleCommand),
}

/// Give and take roles.
#[derive(Subcommand)]
pub(super) enum RoleCommand {
    /// Give a role.
    Add {
        /// Name of the operator.
        name: String,
        /// The role.
        role: String,
        /// An organisation that the role is given for; may be repeated. All by default.
        #[arg(long, value_name = "ORG")]
        scope: Vec<String>,
    },
    /// Take a role.
    Remove {
        /// Name of the operator.
        name: String,
        /// The role.
        role: String,
    },
}

pub(super) fn run(global: &Global, command: OperatorCommand) -> Result<ExitCode, Failure> {
    let client = Client::new(global)?;
    match command {
        OperatorCommand::Add { name, uid, role, scope } => {
            let new = wire::NewOperator { name, uid, roles: role, scope };
            let added: wire::Operator = client.post("/v1/operators", &new)?;
            print(global, &added, describe)
        }
        OperatorCommand::List => {
            let list: wire::List<wire::Operator> = client.get("/v1/operators")?;
            print(global, &list, operators_table)
        }
        OperatorCommand::Show { name } => {
            let found: wire::Operator = client.get(&path(&name))?;
            print(global, &found, describe)
        }
        OperatorCommand::Revoke { name } => {
            client.delete(&path(&name))?;
            print(global, &serde_json::json!({ "revoked": name }), |_| {
                format!("{name} is no operator any more")
            })
        }
        OperatorCommand::Role(RoleCommand::Add { name, role, scope }) => {
            role::grant(global, &client, &name, role, scope)
        }
        OperatorCommand::Role(RoleCommand::Remove { name, role }) => {
            role::revoke(global, &client, &name, &role)
        }
    }
}

/// Who the daemon takes the caller for.
pub(super) fn whoami(global: &Global) -> Result<ExitCode, Failure> {
    let me: wire::Whoami = Client::new(global)?.get("/v1/whoami")?;
    print(global, &me, |me| {
        let roles = if me.break_glass { "break-glass".to_owned() } else { roles(&me.roles, &me.scopes) };
        format!("{}  {}\nroles  {roles}\nrights {}", me.kind, me.name, me.rights.join(" "))
    })
}

pub(super) fn path(name: &str) -> String {
    format!("/v1/operators/{}", segment(name))
}

/// Roles, each with the organisations that it was given for.
fn roles(roles: &[String], scopes: &BTreeMap<String, Vec<String>>) -> String {
    let told = |role: &String| match scopes.get(role) {
        Some(names) => format!("{role} ({})", names.join(", ")),
        None => role.clone(),
    };
    roles.iter().map(told).collect::<Vec<_>>().join(" ")
}

fn uid(operator: &wire::Operator) -> String {
    operator.uid.map_or_else(|| "none".to_owned(), |uid| uid.to_string())
}

fn state(operator: &wire::Operator) -> String {
    match &operator.revoked_at {
        None => "active".to_owned(),
        Some(at) => format!("revoked {at}"),
    }
}

pub(super) fn describe(operator: &wire::Operator) -> String {
    format!(
        "operator  {}\nuid       {}\nstate     {}\nroles     {}\nrights    {}\nsince     {}",
        operator.name,
        uid(operator),
        state(operator),
        roles(&operator.roles, &operator.scopes),
        operator.rights.join(" "),
        operator.created_at
    )
}

fn operators_table(list: &wire::List<wire::Operator>) -> String {
    let row = |operator: &wire::Operator| {
        [operator.name.clone(), uid(operator), state(operator), roles(&operator.roles, &operator.scopes)]
    };
    let rows: Vec<[String; 4]> = list.items.iter().map(row).collect();
    table(["NAME", "UID", "STATE", "ROLES"], &rows)
}
