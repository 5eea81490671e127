//! `countersign letter ...`. No key passes through here: only files do, unread.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use super::client::{Client, segment};
use super::output::{Failure, print, table};
use super::{EXIT_DONE, EXIT_REFUSED, Global, progress};
use crate::api::wire;
use crate::flows::letters;

/// Largest address that is read, in bytes.
const ADDRESS_MAX: u64 = 4096;

/// What a letter activates.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    /// A phone number, by the key in the letter.
    #[value(name = "sms-iak", alias = "sms_iak")]
    SmsIak,
    /// An authenticator app, by the QR code in the letter.
    Oath,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::SmsIak => "sms-iak",
            Kind::Oath => "oath",
        }
    }
}

/// How a letter reaches its user.
#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Delivery {
    /// By post: the user needs an address, or the order brings one.
    Post,
    /// Handed over, after somebody has checked who takes it.
    Hand,
}

/// Order, typeset and follow activation letters.
#[derive(Subcommand)]
pub(super) enum LetterCommand {
    /// Order a letter; the next run typesets it.
    Order(OrderArgs),
    /// Typeset a user's letter at once: the one that waits, or a new one.
    Generate {
        #[command(flatten)]
        order: OrderArgs,
        /// Move the letter to this file, which is replaced; else it stays in letters.output_dir.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Typeset all letters that are due.
    Run {
        /// Only this kind; both by default.
        #[arg(value_name = "KIND", conflicts_with = "kind")]
        only: Option<Kind>,
        /// The same.
        #[arg(long)]
        kind: Option<Kind>,
    },
    /// Take a letter back: its key is dead at once, and its file is removed.
    Cancel(Which),
    /// Write down that a letter was posted, or handed to its user, whose identity you have checked.
    Handover {
        #[command(flatten)]
        which: Which,
        /// Who did it; you by default.
        #[arg(long, value_name = "NAME")]
        by: Option<String>,
    },
    /// List letters.
    List {
        /// Only to this user.
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
        /// Only of this kind.
        #[arg(long)]
        kind: Option<Kind>,
        /// Only in this state, such as ordered, rendered or burnt.
        #[arg(long, value_name = "STATE")]
        state: Option<String>,
        /// Begin after this letter.
        #[arg(long, value_name = "ID")]
        after: Option<String>,
    },
    /// Show a letter.
    Show(Which),
    /// The templates that letters are made from.
    #[command(subcommand)]
    Template(TemplateCommand),
}

/// What to order for whom.
#[derive(Args)]
pub(super) struct OrderArgs {
    /// Name of the user.
    user: String,
    /// What it activates.
    #[arg(long)]
    kind: Kind,
    /// How it gets there; by post unless told otherwise.
    #[arg(long)]
    delivery: Option<Delivery>,
    /// File with the address for this letter alone, a line each, the name first; - reads standard input.
    #[arg(long, value_name = "FILE")]
    address_from: Option<PathBuf>,
}

/// Which letter: by its number, or the open one of a user and kind.
#[derive(Args)]
pub(super) struct Which {
    /// Number of the letter; with --kind, name of the user.
    #[arg(value_name = "ID|USER")]
    id: String,
    /// The user's open letter of this kind.
    #[arg(long)]
    kind: Option<Kind>,
}

/// The templates that letters are made from.
#[derive(Subcommand)]
pub(super) enum TemplateCommand {
    /// Typeset each template as a trial and say what is wrong; exit 1 when something is. Needs no daemon.
    Check {
        /// The directory; letters.template_dir of the configuration by default.
        directory: Option<PathBuf>,
    },
}

pub(super) fn run(global: &Global, command: LetterCommand) -> Result<ExitCode, Failure> {
    if let LetterCommand::Template(TemplateCommand::Check { directory }) = command {
        return check(global, directory);
    }
    let client = Client::new(global)?;
    match command {
        LetterCommand::Order(args) => {
            let letter: wire::Letter = client.post("/v1/letters", &args.body(None)?)?;
            print(global, &letter, describe)
        }
        LetterCommand::Generate { order, out } => generate(global, &client, &order, out.as_deref()),
        LetterCommand::Run { only, kind } => run_due(global, &client, only.or(kind)),
        LetterCommand::Cancel(which) => {
            let letter: wire::Letter = client.remove(&which.path(&client)?)?;
            print(global, &letter, describe)
        }
        LetterCommand::Handover { which, by } => {
            let path = format!("{}/handover", which.path(&client)?);
            let letter: wire::Letter = client.post(&path, &wire::HandOver { by })?;
            print(global, &letter, describe)
        }
        LetterCommand::List { user, kind, state, after } => {
            let given = [
                ("user", user.as_deref()),
                ("kind", kind.map(Kind::name)),
                ("state", state.as_deref()),
                ("after", after.as_deref()),
            ];
            let list: wire::List<wire::Letter> = client.get(&query(&given))?;
            print(global, &list, letters_table)
        }
        LetterCommand::Show(which) => {
            let letter: wire::Letter = client.get(&which.path(&client)?)?;
            print(global, &letter, describe)
        }
        LetterCommand::Template(_) => unreachable!("answered before there was a client"),
    }
}

fn query(given: &[(&str, Option<&str>)]) -> String {
    let pairs = given.iter().filter_map(|(key, value)| Some(format!("{key}={}", segment((*value)?))));
    format!("/v1/letters?{}", pairs.collect::<Vec<_>>().join("&"))
}

impl OrderArgs {
    fn body(&self, generate: Option<&str>) -> Result<wire::NewLetter, Failure> {
        let delivery = self.delivery.map(|delivery| match delivery {
            Delivery::Post => "post".to_owned(),
            Delivery::Hand => "hand".to_owned(),
        });
        Ok(wire::NewLetter {
            user: self.user.clone(),
            kind: self.kind.name().to_owned(),
            delivery,
            address: self.address_from.as_deref().map(read_address).transpose()?,
            generate: generate.map(str::to_owned),
        })
    }
}

fn read_address(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        io::stdin().take(ADDRESS_MAX).read_to_string(&mut text)
    } else {
        fs::File::open(path).and_then(|file| file.take(ADDRESS_MAX).read_to_string(&mut text))
    };
    read.map_err(|error| Failure::usage(format!("address file {}: {error}", path.display())))?;
    Ok(text)
}

impl Which {
    /// The letter's path in the API.
    fn path(&self, client: &Client<'_>) -> Result<String, Failure> {
        let Some(kind) = self.kind else { return Ok(format!("/v1/letters/{}", segment(&self.id))) };
        for state in ["delivered", "rendered", "ordered"] {
            let wanted =
                [("user", Some(self.id.as_str())), ("kind", Some(kind.name())), ("state", Some(state))];
            let list: wire::List<wire::Letter> = client.get(&query(&wanted))?;
            if let Some(letter) = list.items.last() {
                return Ok(format!("/v1/letters/{}", letter.id));
            }
        }
        let text = format!("{} has no open letter of the kind {}", self.id, kind.name());
        Err(Failure::refused(text))
    }
}

fn generate(
    global: &Global,
    client: &Client<'_>,
    order: &OrderArgs,
    out: Option<&Path>,
) -> Result<ExitCode, Failure> {
    // Before a key is made that nobody can have.
    if let Some(out) = out
        && !directory_of(out).is_dir()
    {
        return Err(Failure::usage(format!("{}: there is no such directory", directory_of(out).display())));
    }
    let letter: wire::Letter = client.post("/v1/letters", &order.body(Some("now"))?)?;
    let made = letter.path.as_deref().ok_or_else(|| Failure::fault("the daemon named no file"))?;
    let path = match out {
        None => PathBuf::from(made),
        Some(out) => take(Path::new(made), out, &letter.id)?,
    };
    let told = json!({ "id": letter.id, "path": path.display().to_string(), "pages": letter.pages });
    print(global, &told, |_| format!("letter  {}\nfile    {}\n", letter.id, path.display()))
}

fn directory_of(file: &Path) -> &Path {
    file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Moves a letter to another place, for its new owner only.
fn take(made: &Path, out: &Path, id: &str) -> Result<PathBuf, Failure> {
    let failed = |error: io::Error| {
        Failure::refused(format!(
            "letter {id} is made and in {}, but could not be moved to {}: {error}; move it as root, or as the \
             daemon's account",
            made.display(),
            out.display()
        ))
    };
    let pdf = fs::read(made).map_err(failed)?;
    let mut staged = out.as_os_str().to_owned();
    staged.push(".new");
    let staged = PathBuf::from(staged);
    match fs::remove_file(&staged) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&staged);
    let written = file.and_then(|mut file| file.write_all(&pdf).and_then(|()| file.sync_all()));
    written.and_then(|()| fs::rename(&staged, out)).and_then(|()| fs::remove_file(made)).map_err(failed)?;
    std::path::absolute(out).map_err(failed)
}

/// What all batches came to.
#[derive(Default)]
struct Total {
    rendered: Vec<String>,
    failed: u64,
    held: u64,
}

fn run_due(global: &Global, client: &Client<'_>, only: Option<Kind>) -> Result<ExitCode, Failure> {
    let kinds = only.map_or_else(|| vec![Kind::SmsIak, Kind::Oath], |kind| vec![kind]);
    let mut total = Total::default();
    for kind in kinds {
        run_kind(global, client, kind, &mut total)?;
    }
    let told = json!({ "rendered": total.rendered, "failed": total.failed, "held": total.held });
    print(global, &told, |_| {
        format!(
            "{} typeset, {} failed, {} wait for letters.delivery_gap\n",
            total.rendered.len(),
            total.failed,
            total.held
        )
    })?;
    Ok(ExitCode::from(if total.failed == 0 { EXIT_DONE } else { EXIT_REFUSED }))
}

fn run_kind(global: &Global, client: &Client<'_>, kind: Kind, total: &mut Total) -> Result<(), Failure> {
    let bar = progress::bar(global, kind.name())?;
    let mut after = None;
    loop {
        let body = wire::NewRun { kind: kind.name().to_owned(), after };
        let batch: wire::LetterRun = client.post("/v1/letters/run", &body)?;
        let done = u64::try_from(batch.rendered.len()).unwrap_or(0) + batch.failed;
        // The length first: a bar is never over its end.
        bar.set_length(bar.position() + done + batch.left);
        bar.inc(done);
        total.rendered.extend(batch.rendered);
        total.failed += batch.failed;
        if batch.next.is_none() {
            total.held += batch.held;
            bar.finish_and_clear();
            return Ok(());
        }
        after = batch.next;
    }
}

fn describe(letter: &wire::Letter) -> String {
    let mut text = format!(
        "letter    {}\nuser      {}\nkind      {}\nstate     {}\ndelivery  {}\nordered   {} by {}\n",
        letter.id,
        letter.user,
        letter.kind,
        letter.state,
        letter.delivery,
        letter.ordered_at,
        letter.ordered_by
    );
    let more = [
        ("token", letter.token.clone()),
        ("typeset", letter.rendered_at.clone()),
        ("until", letter.valid_until.clone()),
        ("delivered", letter.handed_over_at.clone()),
        ("by", letter.handed_over_by.clone()),
        ("file", letter.path.clone()),
        ("failed", (letter.renders_failed > 0).then(|| format!("{} times", letter.renders_failed))),
        ("wrong", (letter.attempts > 0).then(|| format!("{} keys", letter.attempts))),
    ];
    for (name, value) in more {
        if let Some(value) = value {
            text.push_str(&format!("{name:9} {value}\n"));
        }
    }
    text
}

fn letters_table(list: &wire::List<wire::Letter>) -> String {
    let rows: Vec<[String; 6]> = list
        .items
        .iter()
        .map(|letter| {
            [
                letter.id.clone(),
                letter.user.clone(),
                letter.kind.clone(),
                letter.state.clone(),
                letter.delivery.clone(),
                letter.ordered_at.clone(),
            ]
        })
        .collect();
    table(["LETTER", "USER", "KIND", "STATE", "DELIVERY", "ORDERED"], &rows)
}

/// Has the typesetter look at templates; its findings are its own words.
fn check(global: &Global, directory: Option<PathBuf>) -> Result<ExitCode, Failure> {
    let config = crate::config::load(&global.config);
    let (program, directory) = match (config, directory) {
        (Ok(config), directory) => {
            let own = &config.people.letters;
            (letters::program(own), directory.or_else(|| own.template_dir.clone()))
        }
        // A directory can be looked at on a machine without an appliance.
        (Err(_), Some(directory)) => {
            (letters::program(&crate::config::people::Letters::default()), Some(directory))
        }
        (Err(error), None) => return Err(Failure::usage(error)),
    };
    let Some(directory) = directory else {
        return Err(Failure::usage(
            "letters.template_dir is not set: name a directory, or use the shipped templates as they are",
        ));
    };
    let mut command = Command::new(&program);
    command.env_clear().stdin(Stdio::null()).arg("--check").arg(&directory);
    if global.json {
        command.arg("--json");
    }
    if global.quiet && !global.json {
        command.stdout(Stdio::null());
    }
    let status = command.status().map_err(|error| {
        Failure::unavailable(format!(
            "{}: {error}; install countersign-letters, or name it in letters.helper",
            program.display()
        ))
    })?;
    match status.code() {
        Some(0) => Ok(ExitCode::from(EXIT_DONE)),
        Some(1) => Ok(ExitCode::from(EXIT_REFUSED)),
        Some(2) => Err(Failure::usage(format!("{} cannot be checked", directory.display()))),
        _ => Err(Failure::fault(format!("{} ended with {status}", program.display()))),
    }
}
