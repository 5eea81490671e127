//! `countersign verify`.

use std::process::ExitCode;

use clap::{ArgGroup, Args};
use zeroize::Zeroizing;

use super::client::Client;
use super::output::{Failure, print};
use super::{EXIT_DONE, EXIT_REFUSED, Global};
use crate::api::wire;

/// Longest line that is read as a code, in bytes.
const LINE_MAX: u64 = 4096;

/// Verify a code: exit 0 when accepted, 1 when rejected, 3 when nobody can say.
#[derive(Args)]
#[command(group = ArgGroup::new("whose").required(true).args(["user", "token"]))]
pub(super) struct VerifyArgs {
    /// Any active token of this user.
    #[arg(long)]
    user: Option<String>,
    /// This token.
    #[arg(long, value_name = "SERIAL")]
    token: Option<String>,
    /// The code; `-` reads one line from stdin.
    code: String,
}

impl VerifyArgs {
    /// A code of one token.
    pub(super) fn of_token(serial: String, code: String) -> Self {
        VerifyArgs { user: None, token: Some(serial), code }
    }
}

pub(super) fn run(global: &Global, args: VerifyArgs) -> Result<ExitCode, Failure> {
    let otp = if args.code == "-" { read_line()? } else { Zeroizing::new(args.code) };
    let request =
        wire::VerifyRequest { user: args.user, token: args.token, otp: otp.to_string(), request_id: None };
    let verdict: wire::Verdict = Client::new(global)?.post("/v1/verify", &request)?;
    print(global, &verdict, |verdict| match verdict {
        wire::Verdict::Accept { token, .. } => format!("accepted ({token})"),
        wire::Verdict::Reject => "rejected".to_owned(),
    })?;
    Ok(ExitCode::from(match verdict {
        wire::Verdict::Accept { .. } => EXIT_DONE,
        wire::Verdict::Reject => EXIT_REFUSED,
    }))
}

/// One line without its newline; everything else stays as it was typed.
fn read_line() -> Result<Zeroizing<String>, Failure> {
    use std::io::{BufRead, Read};
    let mut line = Zeroizing::new(String::new());
    std::io::stdin().lock().take(LINE_MAX).read_line(&mut line).map_err(Failure::usage)?;
    if line.ends_with('\n') {
        line.pop();
    }
    Ok(line)
}
