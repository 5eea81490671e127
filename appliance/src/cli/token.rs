//! `countersign token ...`.

use std::borrow::Borrow;
use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use zeroize::Zeroizing;

use super::Global;
use super::client::{Client, segment};
use super::output::{Failure, print, print_page, table};
use crate::api::wire;

/// Type of a phone among the tokens: it has no codes.
const PUSH: &str = "push";
/// Largest import file, in bytes.
const IMPORT_MAX: u64 = 1024 * 1024;

/// Enrol and manage tokens.
#[derive(Subcommand)]
pub(super) enum TokenCommand {
    /// Enrol a token for a user and show its QR code, once.
    Add(AddArgs),
    /// Enrol tokens from files.
    Import(ImportArgs),
    /// Show a token.
    Show {
        /// Serial.
        serial: String,
    },
    /// List tokens, registered phones among them.
    List {
        /// Begin after this serial.
        #[arg(long, default_value = "")]
        after: String,
        /// Only this user's.
        #[arg(long)]
        user: Option<String>,
    },
    /// Give a hardware token from stock to a user; its codes are accepted from then on.
    Assign {
        /// Serial.
        serial: String,
        /// Who gets it.
        #[arg(long)]
        user: String,
    },
    /// Set a token aside; its codes are refused until it is resumed.
    Suspend {
        /// Serial.
        serial: String,
    },
    /// Take a suspended token back into use.
    Resume {
        /// Serial.
        serial: String,
    },
    /// End a token for good; its secret is erased.
    Revoke {
        /// Serial.
        serial: String,
    },
    /// Forget a token's wrong codes.
    Unlock {
        /// Serial.
        serial: String,
    },
    /// Find a token's counter or clock again from two consecutive codes.
    Resync {
        /// Serial.
        serial: String,
        /// A code.
        code1: String,
        /// The code after it.
        code2: String,
    },
}

/// What codes move with.
#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    /// Time (RFC 6238).
    Totp,
    /// A counter (RFC 4226).
    Hotp,
}

/// A token to enrol.
#[derive(Args)]
pub(super) struct AddArgs {
    /// Whose it will be.
    #[arg(long)]
    user: String,
    /// What codes move with.
    #[arg(long = "type", required_unless_present = "uri")]
    kind: Option<Kind>,
    /// SHA1 (default), SHA256 or SHA512.
    #[arg(long)]
    algorithm: Option<String>,
    /// 6 (default) to 8.
    #[arg(long)]
    digits: Option<u8>,
    /// 10 to 120 seconds; 30 by default.
    #[arg(long, value_name = "SECONDS")]
    period: Option<u16>,
    /// First HOTP counter.
    #[arg(long)]
    counter: Option<u64>,
    /// The secret in Base32; `-` reads it from stdin. The HSM makes one by default.
    #[arg(long, value_name = "BASE32")]
    secret: Option<String>,
    /// An otpauth:// URI in place of the above; `-` reads it from stdin.
    #[arg(long, value_name = "URI",
        conflicts_with_all = ["kind", "algorithm", "digits", "period", "counter", "secret"])]
    uri: Option<String>,
}

/// How an import file is written.
#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// One otpauth:// URI a line.
    Otpauth,
}

/// Files with tokens.
#[derive(Args)]
pub(super) struct ImportArgs {
    /// How the files are written.
    #[arg(long)]
    format: Format,
    /// Whose they are; the account named in each URI by default.
    #[arg(long)]
    user: Option<String>,
    /// The files.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

pub(super) fn run(global: &Global, command: TokenCommand) -> Result<ExitCode, Failure> {
    let client = Client::new(global)?;
    let change = |serial: &str, change: &str| {
        let path = format!("/v1/tokens/{}/{change}", segment(serial));
        let token: wire::Token = client.post(&path, &serde_json::json!({}))?;
        print(global, &token, describe)
    };
    match command {
        TokenCommand::Add(args) => add(global, &client, args),
        TokenCommand::Import(args) => import(global, &client, &args),
        TokenCommand::Show { serial } => {
            let token: wire::Token = client.get(&format!("/v1/tokens/{}", segment(&serial)))?;
            print(global, &token, describe)
        }
        TokenCommand::List { after, user } => {
            let path = match user {
                Some(user) => format!("/v1/users/{}/tokens", segment(&user)),
                None => format!("/v1/tokens?after={}", segment(&after)),
            };
            let list: wire::List<wire::Token> = client.get(&path)?;
            print_page(global, &list, tokens_table)
        }
        TokenCommand::Assign { serial, user } => {
            let path = format!("/v1/tokens/{}/assign", segment(&serial));
            let token: wire::Token = client.post(&path, &wire::Assignment { user })?;
            print(global, &token, describe)
        }
        TokenCommand::Suspend { serial } => change(&serial, "suspend"),
        TokenCommand::Resume { serial } => change(&serial, "resume"),
        TokenCommand::Revoke { serial } => change(&serial, "revoke"),
        TokenCommand::Unlock { serial } => change(&serial, "unlock"),
        TokenCommand::Resync { serial, code1: otp1, code2: otp2 } => {
            let path = format!("/v1/tokens/{}/resync", segment(&serial));
            let token: wire::Token = client.post(&path, &wire::Resync { otp1, otp2 })?;
            print(global, &token, describe)
        }
    }
}

fn add(global: &Global, client: &Client<'_>, args: AddArgs) -> Result<ExitCode, Failure> {
    let kind = args.kind.map(|kind| match kind {
        Kind::Totp => "totp".to_owned(),
        Kind::Hotp => "hotp".to_owned(),
    });
    let new = wire::NewToken {
        kind,
        algorithm: args.algorithm,
        digits: args.digits,
        period: args.period,
        counter: args.counter,
        secret: args.secret.map(or_stdin).transpose()?,
        uri: args.uri.map(or_stdin).transpose()?,
    };
    let path = format!("/v1/users/{}/tokens", segment(&args.user));
    let token: wire::EnrolledToken = client.post(&path, &new)?;
    let shown = serde_json::json!({ "serial": token.serial, "otpauth_uri": token.otpauth_uri });
    print(global, &shown, |_| {
        format!(
            "{}\nserial  {}\nuri     {}\n\nScan the code now: it is not shown again.",
            token.qr_text, token.serial, token.otpauth_uri
        )
    })
}

/// The text itself, or for `-` the first line of stdin.
fn or_stdin(text: String) -> Result<String, Failure> {
    if text != "-" {
        return Ok(text);
    }
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map_err(Failure::fault)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Enrols what it can and says of each line what became of it; nothing is enrolled twice by a second run,
/// since the same secret is refused.
fn import(global: &Global, client: &Client<'_>, args: &ImportArgs) -> Result<ExitCode, Failure> {
    let Format::Otpauth = args.format;
    let (mut rows, mut failed) = (Vec::new(), 0);
    for file in &args.files {
        let text = read_bounded(file)?;
        for (n, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let place = format!("{}:{}", file.display(), n + 1);
            match import_line(client, args.user.as_deref(), line.trim()) {
                Ok((user, serial)) => rows.push([place, user, serial, String::new()]),
                Err(error) => {
                    failed += 1;
                    rows.push([place, String::new(), String::new(), error]);
                }
            }
        }
    }
    let items: Vec<_> = rows
        .iter()
        .map(|[place, user, serial, error]| {
            serde_json::json!({ "place": place, "user": user, "serial": serial, "error": error })
        })
        .collect();
    let shown = serde_json::json!({ "items": items, "failed": failed });
    print(global, &shown, |_| table(["PLACE", "USER", "SERIAL", "ERROR"], &rows))?;
    if failed == 0 {
        return Ok(ExitCode::from(super::EXIT_DONE));
    }
    Err(Failure::refused(format!("{failed} of {} lines were not enrolled", rows.len())))
}

fn import_line(client: &Client<'_>, user: Option<&str>, line: &str) -> Result<(String, String), String> {
    let uri = domain::otpauth::OtpAuth::parse(line).map_err(|error| error.to_string())?;
    let user = user.unwrap_or(&uri.account).to_owned();
    let new = wire::NewToken { uri: Some(line.to_owned()), ..wire::NewToken::default() };
    let path = format!("/v1/users/{}/tokens", segment(&user));
    let enrolled: wire::EnrolledToken = client.post(&path, &new).map_err(|failure| failure.to_string())?;
    Ok((user, enrolled.serial))
}

fn read_bounded(path: &PathBuf) -> Result<Zeroizing<String>, Failure> {
    let unreadable = |error| Failure::usage(format!("{}: {error}", path.display()));
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut text = Zeroizing::new(String::new());
    file.take(IMPORT_MAX + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > IMPORT_MAX {
        return Err(Failure::usage(format!("{}: larger than {IMPORT_MAX} bytes", path.display())));
    }
    Ok(text)
}

pub(super) fn describe(token: &wire::Token) -> String {
    let period = token.period.map_or(String::new(), |period| format!(", {period} s"));
    let suite = token.suite.as_ref().map_or(String::new(), |suite| format!("\nsuite     {suite}"));
    let last = token.last_used.map_or("none".to_owned(), |last| last.to_string());
    let codes = match token.kind.as_str() {
        PUSH => String::new(),
        _ => format!(", {}, {} digits{period}", token.algorithm, token.digits),
    };
    format!(
        "token     {}\nclass     {}\ntype      {}{codes}{suite}\nstate     {}{}\nfailures  {}\nlast used {last}\ndrift     {}\nloa       {}\nsince     {}\n",
        token.serial,
        token.class,
        token.kind,
        token.state,
        if token.locked { " (locked)" } else { "" },
        token.failures,
        token.drift,
        token.loa,
        token.created_at
    )
}

/// Tokens as a table.
pub(super) fn tokens_table<T: Borrow<wire::Token>>(list: &wire::List<T>) -> String {
    let rows: Vec<[String; 6]> = list
        .items
        .iter()
        .map(|token| {
            let token = token.borrow();
            let codes = |text: String| if token.kind == PUSH { "-".to_owned() } else { text };
            [
                token.serial.clone(),
                token.kind.clone(),
                codes(token.algorithm.clone()),
                codes(token.digits.to_string()),
                if token.locked { "locked".to_owned() } else { token.state.clone() },
                token.failures.to_string(),
            ]
        })
        .collect();
    table(["SERIAL", "TYPE", "HASH", "DIGITS", "STATE", "FAILURES"], &rows)
}
