//! `countersign enrol catalogue|policy`: the activities of an enrolment, and the policy that says which of them are asked
//! for (BIND-30, B.7). Needs no daemon.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use domain::enrol::policy::{Column, Demand, Policy};
use domain::enrol::{Activity, Level, Method};
use serde::Serialize;

use super::output::{Failure, print, table};
use super::{EXIT_DONE, Global, enrolment};
use crate::config::enrol;

/// Largest policy file, in bytes.
const FILE_MAX: u64 = 256 * 1024;

/// Enrolments: from the request for a factor to its binding.
#[derive(Subcommand)]
pub(super) enum EnrolCommand {
    #[command(flatten)]
    Act(enrolment::Act),
    /// List the activities: what goes in, what comes out, what happens without it. Needs no daemon.
    Catalogue {
        /// What a policy of your own asks for, in place of the shipped one.
        #[arg(long, value_name = "FILE")]
        policy: Option<PathBuf>,
        /// Only this method of vetting, such as `on_premise`.
        #[arg(long)]
        method: Option<String>,
    },
    /// Show the shipped policy, or check one of your own. Needs no daemon.
    #[command(subcommand)]
    Policy(PolicyCommand),
}

/// Policies of enrolments.
#[derive(Subcommand)]
pub(super) enum PolicyCommand {
    /// Print the shipped policy: what to begin a policy of your own with.
    Show,
    /// Check a policy of your own; exit 2 if it asks for less than the shipped one.
    Check {
        /// The file.
        file: PathBuf,
    },
}

/// An activity with what is said of it.
#[derive(Serialize)]
struct Row {
    activity: &'static str,
    short_id: &'static str,
    requirement: Vec<Asked>,
    input: &'static str,
    output: &'static str,
    risk_if_omitted: &'static str,
    depends_on: Vec<&'static str>,
    loa_effect: &'static str,
}

/// What one column asks of an activity.
#[derive(Serialize)]
struct Asked {
    method: &'static str,
    level: f64,
    demand: &'static str,
}

/// A policy that was read.
#[derive(Serialize)]
struct Read {
    version: String,
    columns: usize,
}

pub(super) fn run(global: &Global, command: EnrolCommand) -> Result<ExitCode, Failure> {
    match command {
        EnrolCommand::Act(act) => enrolment::run(global, act),
        EnrolCommand::Catalogue { policy, method } => catalogue(global, policy.as_deref(), method.as_deref()),
        EnrolCommand::Policy(PolicyCommand::Show) => {
            let shipped = serde_json::json!({ "policy": enrol::SHIPPED });
            print(global, &shipped, |_| enrol::SHIPPED.to_owned())
        }
        EnrolCommand::Policy(PolicyCommand::Check { file }) => {
            let policy = read(&file)?;
            let read = Read { version: policy.version, columns: policy.columns.len() };
            print(global, &read, |read| {
                format!(
                    "version {}: {} columns; none asks for less than the shipped one\n",
                    read.version, read.columns
                )
            })?;
            Ok(ExitCode::from(EXIT_DONE))
        }
    }
}

fn read(file: &Path) -> Result<Policy, Failure> {
    let size =
        fs::metadata(file).map_err(|error| Failure::usage(format!("{}: {error}", file.display())))?.len();
    if size > FILE_MAX {
        return Err(Failure::usage(format!("{}: a policy has {FILE_MAX} bytes at the most", file.display())));
    }
    let text =
        fs::read_to_string(file).map_err(|error| Failure::usage(format!("{}: {error}", file.display())))?;
    enrol::tightened(&text).map_err(|findings| {
        let place =
            |f: &crate::config::Finding| format!("{}:{}: {}: {}", file.display(), f.line, f.key, f.text);
        Failure::usage(findings.iter().map(place).collect::<Vec<_>>().join("\n"))
    })
}

fn catalogue(global: &Global, policy: Option<&Path>, method: Option<&str>) -> Result<ExitCode, Failure> {
    let own = policy.map(read).transpose()?;
    let policy = own.as_ref().unwrap_or(enrol::shipped());
    let wanted = method.map(|name| {
        let known = || Method::ALL.iter().map(|one| one.name()).collect::<Vec<_>>().join(", ");
        Method::from_name(name)
            .ok_or_else(|| Failure::usage(format!("there is no method {name:?}; there are {}", known())))
    });
    let wanted = wanted.transpose()?;
    let columns: Vec<&Column> =
        policy.columns.iter().filter(|column| wanted.is_none_or(|method| column.method == method)).collect();
    let rows: Vec<Row> = Activity::ALL.iter().map(|activity| row(*activity, &columns)).collect();
    print(global, &rows, |rows| text(rows, &columns))?;
    Ok(ExitCode::from(EXIT_DONE))
}

fn row(activity: Activity, columns: &[&Column]) -> Row {
    let entry = activity.entry();
    let asked = columns.iter().map(|column| Asked {
        method: column.method.name(),
        level: column.level.value(),
        demand: column.demand(activity).name(),
    });
    Row {
        activity: activity.name(),
        short_id: activity.short_id(),
        requirement: asked.collect(),
        input: entry.input,
        output: entry.output,
        risk_if_omitted: entry.risk_if_omitted,
        depends_on: entry.depends_on.iter().map(|one| one.name()).collect(),
        loa_effect: entry.loa_effect,
    }
}

/// As a table reads it: a letter for each column.
fn mark(demand: &str) -> &'static str {
    match Demand::from_name(demand) {
        Some(Demand::Mandatory) => "M",
        Some(Demand::UnlessPre) => "(M)",
        Some(Demand::Implied) => "i",
        Some(Demand::Optional) => "O",
        Some(Demand::NotApplicable) | None => "-",
    }
}

fn text(rows: &[Row], columns: &[&Column]) -> String {
    let name = |(place, column): (usize, &&Column)| {
        [(place + 1).to_string(), column.method.name().to_owned(), Level::name(column.level).to_owned()]
    };
    let names: Vec<[String; 3]> = columns.iter().enumerate().map(name).collect();
    let mut out = "What each column of `asked` stands for:\n".to_owned();
    out += &table(["COLUMN", "METHOD", "LEVEL"], &names);
    out += "M mandatory, (M) unless the factor was shown before, i implied, O optional, - no place\n\n";
    for row in rows {
        let marks = row.requirement.iter().map(|asked| mark(asked.demand)).collect::<Vec<_>>().join(" ");
        let after = if row.depends_on.is_empty() { "-".to_owned() } else { row.depends_on.join(", ") };
        out += &format!(
            "{} ({})\n  asked    {marks}\n  input    {}\n  output   {}\n  without  {}\n  after    {after}\n  level    {}\n",
            row.activity, row.short_id, row.input, row.output, row.risk_if_omitted, row.loa_effect
        );
    }
    out
}
