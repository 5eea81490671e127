//! `countersign user ...`.

use std::process::ExitCode;

use clap::Subcommand;

use super::Global;
use super::client::{Client, segment};
use super::output::{Failure, print, table};
use crate::api::wire;

/// Add, show and unlock users; bind phone numbers.
#[derive(Subcommand)]
pub(super) enum UserCommand {
    /// Add a user.
    Add {
        /// Name.
        name: String,
        /// Contact phone; it never gets codes.
        #[arg(long, value_name = "NUMBER")]
        phone: Option<String>,
        /// Language tag, such as de or fr-CH.
        #[arg(long, value_name = "TAG")]
        lang: Option<String>,
    },
    /// Show a user and the tokens.
    Show {
        /// Name.
        name: String,
    },
    /// List users.
    List {
        /// Begin after this name.
        #[arg(long, default_value = "")]
        after: String,
    },
    /// Bind phone numbers.
    #[command(subcommand)]
    Phone(PhoneCommand),
    /// Forget a user's wrong codes.
    Unlock {
        /// Name.
        name: String,
    },
}

/// Bind phone numbers.
#[derive(Subcommand)]
pub(super) enum PhoneCommand {
    /// Bind a number that an operator has verified: from now on it gets codes.
    Set {
        /// Name of the user.
        name: String,
        /// The number, with + and country code.
        number: String,
        /// The operator who verified it.
        #[arg(long, value_name = "OPERATOR")]
        verified_by: String,
    },
}

pub(super) fn run(global: &Global, command: UserCommand) -> Result<ExitCode, Failure> {
    let client = Client::new(global)?;
    match command {
        UserCommand::Add { name, phone, lang } => {
            let user: wire::User = client.post("/v1/users", &wire::NewUser { name, phone, lang })?;
            print(global, &user, describe)
        }
        UserCommand::Show { name } => show(global, &client, &name),
        UserCommand::List { after } => {
            let path = format!("/v1/users?after={}", segment(&after));
            let list: wire::List<wire::User> = client.get(&path)?;
            print(global, &list, users_table)
        }
        UserCommand::Phone(PhoneCommand::Set { name, number, verified_by }) => {
            let body = wire::VerifiedPhone { number, verified_by: Some(verified_by) };
            let user: wire::User = client.put(&format!("/v1/users/{}/phone", segment(&name)), &body)?;
            print(global, &user, describe)
        }
        UserCommand::Unlock { name } => {
            let path = format!("/v1/users/{}/unlock", segment(&name));
            let user: wire::User = client.post(&path, &serde_json::json!({}))?;
            print(global, &user, describe)
        }
    }
}

fn describe(user: &wire::User) -> String {
    let none = || "none".to_owned();
    format!(
        "user      {}\nstate     {}\nphone     {}\ncontact   {}\nlanguage  {}\nfailures  {}\npseudonym {}\nsince     {}\n",
        user.name,
        user.state,
        user.phone_masked.clone().unwrap_or_else(none),
        user.contact_phone_masked.clone().unwrap_or_else(none),
        user.lang,
        user.failures,
        user.user_ref,
        user.created_at
    )
}

fn users_table(list: &wire::List<wire::User>) -> String {
    let rows: Vec<[String; 4]> = list
        .items
        .iter()
        .map(|user| {
            let phone = user.phone_masked.clone().unwrap_or_default();
            [user.name.clone(), user.state.clone(), phone, user.failures.to_string()]
        })
        .collect();
    table(["NAME", "STATE", "PHONE", "FAILURES"], &rows)
}

fn show(global: &Global, client: &Client<'_>, name: &str) -> Result<ExitCode, Failure> {
    let user: wire::User = client.get(&format!("/v1/users/{}", segment(name)))?;
    let tokens: wire::List<wire::Token> = client.get(&format!("/v1/users/{}/tokens", segment(name)))?;
    let mut both = serde_json::to_value(&user).map_err(Failure::fault)?;
    both["tokens"] = serde_json::to_value(&tokens.items).map_err(Failure::fault)?;
    print(global, &both, |_| format!("{}\n{}", describe(&user), super::token::tokens_table(&tokens)))
}
