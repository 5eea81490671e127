//! `countersign user import FILE`: users from a CSV file (RFC 4180), over the API.
//!
//! The whole file is read and checked before anything is sent: a fault anywhere, and no user is added. A user who is
//! there already is left as is, so that an import that was cut goes on when it is run again.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::client::{Client, segment};
use super::output::{Failure, print};
use super::{EXIT_DONE, EXIT_REFUSED, Global, progress};
use crate::api::wire;

mod table;

use table::{Entry, Fault};

/// Why a number of a file gets no codes (MOB-40).
const CONTACT_ONLY: &str = "the column phone gives contact phones, which never get codes: of a number in a directory it \
     is not known that it belongs to the user, and whoever holds the phone would be let in. Let users register their \
     numbers, or verify each and bind it with `countersign user phone set`";

/// A file of users.
#[derive(Args)]
pub(super) struct ImportArgs {
    /// The file: a line of column names, then a line for each user. Columns: name; lang, email, phone (for contact
    /// only), method; line1 to line6 and org of the postal address.
    file: PathBuf,
    /// Check the file, and say who would be added; nothing is changed.
    #[arg(long)]
    dry_run: bool,
    /// What stands between the columns.
    #[arg(long, value_name = "CHARACTER", default_value = ",", value_parser = separator)]
    separator: u8,
    /// Leave a column out; once for each.
    #[arg(long, value_name = "COLUMN")]
    ignore: Vec<String>,
}

fn separator(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"\\t" => Ok(b'\t'),
        [byte] if byte.is_ascii_graphic() && !byte.is_ascii_alphanumeric() && *byte != b'"' => Ok(*byte),
        _ => Err("one character, such as ; or \\t".to_owned()),
    }
}

/// What became of a file.
#[derive(Debug, Serialize)]
struct Report {
    file: String,
    dry_run: bool,
    /// Users added, or who would be.
    added: u64,
    /// Users who were there already.
    present: u64,
    /// Users who were not asked about any more: the daemon went away.
    left: u64,
    warnings: Vec<&'static str>,
    faults: Vec<Fault>,
}

impl Report {
    fn text(&self) -> String {
        let place = |fault: &Fault| match fault.column {
            Some(column) => format!("{}:{}:{column}: {}: {}", self.file, fault.line, fault.field, fault.text),
            None => format!("{}:{}: {}", self.file, fault.line, fault.text),
        };
        let mut text: String = self.faults.iter().map(|fault| format!("{}\n", place(fault))).collect();
        let would = if self.dry_run { "would be added" } else { "added" };
        text.push_str(&format!("{} {would}, {} there already", self.added, self.present));
        if !self.faults.is_empty() {
            let faults = if self.faults.len() == 1 { "fault" } else { "faults" };
            text.push_str(&format!(", {} {faults}", self.faults.len()));
        }
        if self.left > 0 {
            text.push_str(&format!(", {} left: run it again to go on", self.left));
        }
        text
    }
}

pub(super) fn run(global: &Global, args: &ImportArgs) -> Result<ExitCode, Failure> {
    let file = args.file.display().to_string();
    let bytes = table::read(&args.file).map_err(|error| Failure::usage(format!("{file}: {error}")))?;
    let read = table::parse(&bytes, args.separator, &args.ignore)
        .map_err(|error| Failure::usage(format!("{file}: {error}")))?;
    let warnings: Vec<&'static str> = read.has_phones.then_some(CONTACT_ONLY).into_iter().collect();
    for warning in &warnings {
        eprintln!("countersign: {warning}");
    }
    let faults = read.faults;
    let left = u64::try_from(read.entries.len()).unwrap_or(u64::MAX);
    let mut report = Report { file, dry_run: args.dry_run, added: 0, present: 0, left, warnings, faults };
    if !report.faults.is_empty() {
        report.left = 0;
        print(global, &report, |report| format!("{}: nobody was added", report.text()))?;
        return Ok(ExitCode::from(EXIT_REFUSED));
    }
    let sent = send(global, &read.entries, &mut report);
    print(global, &report, Report::text)?;
    sent?;
    Ok(ExitCode::from(if report.faults.is_empty() { EXIT_DONE } else { EXIT_REFUSED }))
}

fn send(global: &Global, entries: &[Entry], report: &mut Report) -> Result<(), Failure> {
    let client = Client::new(global)?;
    let bar = progress::bar(global, "users")?;
    bar.set_length(report.left);
    for entry in entries {
        match add(&client, entry, report.dry_run) {
            Ok(true) => report.added += 1,
            Ok(false) => report.present += 1,
            Err(failure) => {
                let said = failure.unless_unavailable::<()>()?;
                report.faults.extend(said.err().map(|text| entry.fault(text)));
            }
        }
        report.left -= 1;
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(())
}

/// Adds a user, or says that the user is there already.
fn add(client: &Client<'_>, entry: &Entry, dry_run: bool) -> Result<bool, Failure> {
    let path = format!("/v1/users/{}", segment(&entry.user.name));
    if client.find::<wire::User>(&path)?.is_some() {
        return Ok(false);
    }
    if !dry_run {
        client.post::<wire::User>("/v1/users", &entry.user)?;
    }
    Ok(true)
}
