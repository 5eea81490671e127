//! `countersign user ...`.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::Global;
use super::client::{Client, segment};
use super::output::{Failure, print, print_page, table};
use super::prompt;
use crate::api::wire;

/// Users: add, show, lock; passwords, addresses, methods, numbers.
#[derive(Subcommand)]
pub(super) enum UserCommand {
    /// Add a user.
    Add(AddArgs),
    /// Show a user, the methods and the tokens.
    Show {
        /// Name.
        name: String,
    },
    /// Add users from a CSV file: all of it is checked before anybody is added.
    Import(super::import::ImportArgs),
    /// List users.
    List {
        /// Begin after this name.
        #[arg(long, default_value = "")]
        after: String,
    },
    /// Set the local password: asked for twice at the terminal, never an argument.
    Password {
        /// Name.
        name: String,
        /// Read it from standard input, one line.
        #[arg(value_parser = ["-"], conflicts_with = "clear")]
        from: Option<String>,
        /// Take the password away.
        #[arg(long)]
        clear: bool,
    },
    /// Show the methods, or set the one in use and the one to move to.
    Method(MethodArgs),
    /// Set the postal address: lines on standard input, or --line for each.
    Address {
        /// Name.
        name: String,
        /// A line; once for each.
        #[arg(long, value_name = "TEXT", conflicts_with = "clear")]
        line: Vec<String>,
        /// Take the address away.
        #[arg(long)]
        clear: bool,
    },
    /// Set the e-mail address.
    Email {
        /// Name.
        name: String,
        /// The address.
        #[arg(required_unless_present = "clear", conflicts_with = "clear")]
        address: Option<String>,
        /// Take the address away.
        #[arg(long)]
        clear: bool,
    },
    /// Show or say which organisation a user belongs to: what an applicant types counts for nothing.
    Organisation {
        /// Name.
        name: String,
        /// The organisation.
        #[arg(conflicts_with = "clear")]
        organisation: Option<String>,
        /// Take back what was said.
        #[arg(long)]
        clear: bool,
    },
    /// Set the language.
    Lang {
        /// Name.
        name: String,
        /// Language tag, such as de or fr-CH.
        tag: String,
    },
    /// Bind, set aside and remove phone numbers.
    #[command(subcommand)]
    Phone(PhoneCommand),
    /// Take nothing of a user until `unlock`.
    Lock {
        /// Name.
        name: String,
    },
    /// Forget a user's wrong codes, and a lock.
    Unlock {
        /// Name.
        name: String,
    },
    /// Forget a person: key, numbers, addresses, password and what was vetted are erased, tokens are revoked.
    Forget {
        /// Name.
        name: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}

/// A user to add.
#[derive(Args)]
pub(super) struct AddArgs {
    /// Name.
    name: String,
    /// Contact phone; it never gets codes.
    #[arg(long, value_name = "NUMBER")]
    phone: Option<String>,
    /// Language tag, such as de or fr-CH.
    #[arg(long, value_name = "TAG")]
    lang: Option<String>,
    /// E-mail address.
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// A line of the postal address; once for each.
    #[arg(long, value_name = "TEXT")]
    line: Vec<String>,
    /// The method in use: PASSWORD (default), SMS, OATH_OTP, PUSH, HW_TOKEN.
    #[arg(long, value_name = "METHOD")]
    method: Option<String>,
    /// The local password: `-` reads it from standard input, one line.
    #[arg(long, value_name = "-", value_parser = ["-"])]
    password: Option<String>,
}

/// Methods of a user.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct MethodArgs {
    #[command(subcommand)]
    command: Option<MethodCommand>,
    /// Name of the user.
    #[arg(required = true)]
    name: Option<String>,
    /// The method in use from now on.
    #[arg(long, value_name = "METHOD")]
    active: Option<String>,
    /// The method to move to, or none.
    #[arg(long, value_name = "METHOD")]
    next: Option<String>,
}

/// Methods of a user, one by one.
#[derive(Subcommand)]
pub(super) enum MethodCommand {
    /// Set the method in use.
    Set {
        /// Name of the user.
        user: String,
        /// PASSWORD, SMS, OATH_OTP, PUSH or HW_TOKEN.
        method: String,
    },
    /// Set the method that the user moves to at the next login.
    Next {
        /// Name of the user.
        user: String,
        /// The method, or none.
        method: String,
    },
}

/// Bind, set aside and remove phone numbers.
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
    /// Show what is bound.
    Show {
        /// Name of the user.
        name: String,
    },
    /// Set the number aside: it gets no codes until it is resumed.
    Suspend {
        /// Name of the user.
        name: String,
    },
    /// Take the number back into use.
    Resume {
        /// Name of the user.
        name: String,
    },
    /// Forget the number.
    Remove {
        /// Name of the user.
        name: String,
    },
}

fn path(name: &str, rest: &str) -> String {
    format!("/v1/users/{}/{rest}", segment(name))
}

pub(super) fn run(global: &Global, command: UserCommand) -> Result<ExitCode, Failure> {
    // Looks at its file before it looks for the daemon.
    if let UserCommand::Import(args) = &command {
        return super::import::run(global, args);
    }
    let client = Client::new(global)?;
    let nothing = serde_json::json!({});
    let user: wire::User = match command {
        UserCommand::Add(args) => client.post("/v1/users", &new_user(args)?)?,
        UserCommand::Import(_) => unreachable!("answered before there was a client"),
        UserCommand::Show { name } => return show(global, &client, &name),
        UserCommand::List { after } => {
            let path = format!("/v1/users?after={}", segment(&after));
            let list: wire::List<wire::User> = client.get(&path)?;
            return print_page(global, &list, users_table);
        }
        UserCommand::Password { name, clear: true, .. } => client.remove(&path(&name, "password"))?,
        UserCommand::Password { name, from, .. } => {
            let password = match from {
                Some(_) => prompt::line()?,
                None => prompt::new_password(&name)?,
            };
            client.put(&path(&name, "password"), &wire::NewPassword { password })?
        }
        UserCommand::Method(args) => return method(global, &client, args),
        UserCommand::Address { name, clear: true, .. } => client.remove(&path(&name, "address"))?,
        UserCommand::Address { name, line, .. } => {
            let lines = if line.is_empty() { prompt::lines()? } else { line };
            client.put(&path(&name, "address"), &wire::NewAddress { lines })?
        }
        UserCommand::Email { name, address: Some(email), .. } => {
            client.put(&path(&name, "email"), &wire::NewEmail { email })?
        }
        UserCommand::Email { name, .. } => client.remove(&path(&name, "email"))?,
        UserCommand::Organisation { name, organisation, clear } => {
            return self::organisation(global, &client, &name, organisation, clear);
        }
        UserCommand::Lang { name, tag } => client.put(&path(&name, "lang"), &wire::NewLang { lang: tag })?,
        UserCommand::Phone(PhoneCommand::Set { name, number, verified_by }) => {
            let body = wire::VerifiedPhone { number, verified_by: Some(verified_by) };
            client.put(&path(&name, "phone"), &body)?
        }
        UserCommand::Phone(PhoneCommand::Show { name }) => {
            let methods: wire::Methods = client.get(&path(&name, "methods"))?;
            return print(global, &methods.phone, |phone| phone_line(phone.as_ref()));
        }
        UserCommand::Phone(PhoneCommand::Suspend { name }) => {
            client.post(&path(&name, "phone/suspend"), &nothing)?
        }
        UserCommand::Phone(PhoneCommand::Resume { name }) => {
            client.post(&path(&name, "phone/resume"), &nothing)?
        }
        UserCommand::Phone(PhoneCommand::Remove { name }) => client.remove(&path(&name, "phone"))?,
        UserCommand::Forget { name, yes } => {
            if !yes {
                prompt::confirm(&format!("{name} is forgotten, and it cannot be undone."))?;
            }
            let gone: wire::Forgotten = client.post(&path(&name, "forget"), &nothing)?;
            return print(global, &gone, |gone| format!("forgotten; events name {}\n", gone.user_ref));
        }
        UserCommand::Lock { name } => client.post(&path(&name, "lock"), &nothing)?,
        UserCommand::Unlock { name } => client.post(&path(&name, "unlock"), &nothing)?,
    };
    print(global, &user, describe)
}

fn organisation(
    global: &Global,
    client: &Client<'_>,
    name: &str,
    organisation: Option<String>,
    clear: bool,
) -> Result<ExitCode, Failure> {
    let path = path(name, "organisation");
    let said: wire::Membership = match organisation {
        Some(organisation) => client.put(&path, &wire::NewMembership { organisation })?,
        None if clear => client.remove(&path)?,
        None => client.get(&path)?,
    };
    print(global, &said, |said| format!("{}\n", said.organisation.as_deref().unwrap_or("none")))
}

fn new_user(args: AddArgs) -> Result<wire::NewUser, Failure> {
    Ok(wire::NewUser {
        name: args.name,
        phone: args.phone,
        lang: args.lang,
        email: args.email,
        address: args.line,
        password: args.password.map(|_| prompt::line()).transpose()?,
        active_method: args.method,
    })
}

fn method(global: &Global, client: &Client<'_>, args: MethodArgs) -> Result<ExitCode, Failure> {
    let next_of = |text: String| (!text.eq_ignore_ascii_case("none")).then_some(text);
    let (name, change) = match args {
        MethodArgs { command: Some(MethodCommand::Set { user, method }), .. } => {
            (user, wire::MethodChange { active: Some(method), next: None })
        }
        MethodArgs { command: Some(MethodCommand::Next { user, method }), .. } => {
            (user, wire::MethodChange { active: None, next: Some(next_of(method)) })
        }
        MethodArgs { name, active, next, .. } => {
            (name.unwrap_or_default(), wire::MethodChange { active, next: next.map(next_of) })
        }
    };
    let methods: wire::Methods = if change.active.is_none() && change.next.is_none() {
        client.get(&path(&name, "methods"))?
    } else {
        client.put(&path(&name, "auth-method"), &change)?
    };
    print(global, &methods, methods_text)
}

/// What a user can log in with, a line each.
pub(super) fn methods_text(methods: &wire::Methods) -> String {
    let yes_no = |yes: bool| if yes { "yes" } else { "no" };
    let serials = |tokens: &[wire::Token]| match tokens {
        [] => "none".to_owned(),
        tokens => tokens.iter().map(|t| format!("{} ({})", t.serial, t.state)).collect::<Vec<_>>().join(", "),
    };
    let letters = match methods.letters.as_slice() {
        [] => "none".to_owned(),
        letters => letters.iter().map(|l| format!("{} {}", l.kind, l.state)).collect::<Vec<_>>().join(", "),
    };
    format!(
        "active    {}\nnext      {}\npassword  {}\ne-mail    {}\naddress   {}\nnumber    {}\noath      {}\nhardware  {}\nletters   {letters}\n",
        methods.active,
        methods.next.as_deref().unwrap_or("none"),
        yes_no(methods.password),
        yes_no(methods.email),
        yes_no(methods.address),
        phone_line(methods.phone.as_ref()),
        serials(&methods.oath),
        serials(&methods.hardware),
    )
}

fn phone_line(phone: Option<&wire::BoundPhone>) -> String {
    phone.map_or("none".to_owned(), |phone| {
        let number = phone.number.as_ref().unwrap_or(&phone.masked);
        format!("{number} ({}, by {}, loa {})", phone.state, phone.source, phone.loa)
    })
}

fn describe(user: &wire::User) -> String {
    let none = || "none".to_owned();
    let contact = match (&user.contact_phone_masked, &user.phone_masked) {
        (Some(contact), None) => {
            format!("{contact} (gets no codes: nobody has verified that it is the user's)")
        }
        (Some(contact), Some(_)) => contact.clone(),
        (None, _) => none(),
    };
    format!(
        "user      {}\nstate     {}\nphone     {}\ncontact   {}\nlanguage  {}\nfailures  {}\npseudonym {}\nsince     {}\n",
        user.name,
        user.state,
        user.phone_masked.clone().unwrap_or_else(none),
        contact,
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
    let methods: wire::Methods = client.get(&path(name, "methods"))?;
    let tokens: wire::List<wire::Token> = client.get(&path(name, "tokens"))?;
    let mut all = serde_json::to_value(&user).map_err(Failure::fault)?;
    all["methods"] = serde_json::to_value(&methods).map_err(Failure::fault)?;
    all["tokens"] = serde_json::to_value(&tokens.items).map_err(Failure::fault)?;
    print(global, &all, |_| {
        format!("{}{}\n{}", describe(&user), methods_text(&methods), super::token::tokens_table(&tokens))
    })
}
