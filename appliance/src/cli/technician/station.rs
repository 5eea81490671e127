//! `countersign technician station`: a box of tokens at several ports, one after the other, until the batch is done.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Args;
use parking_lot::Mutex;
use serde::Serialize;

use super::super::client::{Client, segment};
use super::super::output::{Failure, print};
use super::super::{EXIT_DONE, EXIT_REFUSED, Global};
use super::batch::{Batch, Item, Progress};
use super::desk::{Desk, PORTS_MAX};
use super::emulator::Works;
use super::ports::Devices;
use super::seat::{Place, Shared};
use super::{Kind, interrupt, labels, work};
use crate::api::wire;

/// Longest name of a batch, in characters: it stands on one line of a label.
const BATCH_MAX: usize = 24;
/// Emulated tokens of one name at the most: a serial ends in four digits.
const SERIALS_MAX: u16 = 9999;
/// The maker of emulated tokens, beside the daemon's socket: where the demo puts it.
const MAKER: &str = "maker.key";

/// Work through a box of tokens, at several ports at once.
///
/// Takes up whatever token is plugged in, unless ports are named. Each token is checked, provisioned and proved by a
/// code from its display; then the next one is plugged in. Type a code and press Enter; Tab goes to another port, r
/// tries a failed token again, s gives one up, q ends. Exit 0 when all are done, 1 when some failed or are left.
#[derive(Args)]
pub(in super::super) struct StationArgs {
    /// Serial port; once for each. Without one, each token that udev recognises is taken up.
    #[arg(long = "port", value_name = "PATH")]
    ports: Vec<PathBuf>,
    #[command(flatten)]
    devices: Devices,
    /// Emulate tokens, this many at once.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=PORTS_MAX as i64))]
    emulator: Option<u8>,
    /// The maker of emulated tokens, whom the appliance must trust; without it, maker.key beside the daemon's socket.
    #[arg(long, value_name = "FILE", env = "COUNTERSIGN_MAKER_KEY")]
    maker_key: Option<PathBuf>,
    /// Name of the batch.
    #[arg(long, value_parser = batch_name)]
    batch: Option<String>,
    /// What codes move with.
    #[arg(long = "type", default_value = "totp")]
    kind: Kind,
    /// SHA1 (default), SHA256 or SHA512.
    #[arg(long)]
    algorithm: Option<String>,
    /// 6 (default) to 10.
    #[arg(long, value_parser = clap::value_parser!(u8).range(6..=10))]
    digits: Option<u8>,
    /// Write labels for all tokens that are done.
    #[arg(long, value_name = "FILE.pdf")]
    labels: Option<PathBuf>,
    /// The batch's file, signed by the appliance: a station that was cut goes on from it.
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Tokens in the batch; without it, one for each emulated one, and as many as are plugged in.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    count: Option<u16>,
}

fn batch_name(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if text.is_empty() || text.len() > BATCH_MAX || !text.chars().all(allowed) {
        return Err(format!("a batch is named by 1 to {BATCH_MAX} letters, digits, '-', '_' and '.'"));
    }
    Ok(text.to_owned())
}

/// What a station leaves.
#[derive(Serialize)]
struct Report<'a> {
    batch: &'a str,
    done: usize,
    failed: usize,
    /// Of the count that was given.
    left: usize,
    items: &'a [Item],
    labels: Option<&'a PathBuf>,
    notices: Vec<String>,
}

pub(super) fn run(global: &Global, args: &StationArgs) -> Result<ExitCode, Failure> {
    if matches!(args.kind, Kind::Ocra) {
        let text = "a station proves each token by a code of its display, and a token of type ocra shows none unasked: \
            use countersign technician provision --type ocra";
        return Err(Failure::usage(text));
    }
    let client = Client::new(global)?;
    let batch = match &args.state {
        Some(path) => Batch::open(&client, args.batch.as_deref(), path)?,
        None => Batch::new(args.batch.as_deref().unwrap_or_default()),
    };
    // As its file names it, also where the command line does not.
    let name = Some(batch.name().to_owned()).filter(|name| !name.is_empty());
    if let Some(name) = &name {
        // Where provisioning takes two persons, a station does not begin before the second.
        let _: wire::OpenBatch =
            client.post("/v1/provisioning/batches", &wire::NewBatch { name: name.clone() })?;
    }
    let places = places(args)?;
    let total = total(args);
    let works = match args.emulator {
        None => None,
        Some(_) => Some(Works::prepare(&maker(global, args)?, args.state.as_deref())?),
    };
    let devices = (args.ports.is_empty() && args.emulator.is_none()).then(|| args.devices.clone());
    let cut = Arc::new(AtomicBool::new(false));
    interrupt::note(Arc::clone(&cut)).map_err(Failure::fault)?;
    let shared = Shared {
        global,
        queue: Mutex::new(emulated(&client, args, &batch)?),
        batch: Mutex::new(batch),
        wanted: work::Wanted {
            kind: args.kind.name(),
            algorithm: args.algorithm.clone(),
            digits: args.digits,
            question_digits: None,
            checksum: None,
            truncation_offset: None,
            slot: 0,
            batch: name,
        },
        works,
        stop: AtomicBool::new(false),
        cut,
    };
    work_through(&shared, places, devices, total)?;
    finish(global, &client, args, &shared, total)
}

/// The maker's key: the one that was named, or the one that the demo made.
fn maker(global: &Global, args: &StationArgs) -> Result<PathBuf, Failure> {
    let beside = || global.socket.parent().unwrap_or(Path::new(".")).join(MAKER);
    let maker = args.maker_key.clone().unwrap_or_else(beside);
    if args.maker_key.is_none() && !maker.is_file() {
        let text = "--emulator needs --maker-key FILE: the maker of the tokens, whom the appliance trusts";
        return Err(Failure::usage(text));
    }
    Ok(maker)
}

fn places(args: &StationArgs) -> Result<Vec<Place>, Failure> {
    let mut places: Vec<Place> = args.ports.iter().cloned().map(Place::Port).collect();
    places.extend((0..args.emulator.unwrap_or(0)).map(|_| Place::Emulated));
    if places.len() > PORTS_MAX {
        return Err(Failure::usage(format!("a station works at {PORTS_MAX} ports at the most")));
    }
    Ok(places)
}

/// Tokens to work, if that is known.
fn total(args: &StationArgs) -> Option<usize> {
    match (args.count, args.emulator) {
        (Some(count), _) => Some(count.into()),
        (None, Some(emulated)) => Some(usize::from(emulated) + args.ports.len()),
        (None, None) => None,
    }
}

/// Serials to emulate: those of the batch that are not done yet. Tokens without a batch file are new each time: they
/// get serials that the appliance does not know.
fn emulated(client: &Client<'_>, args: &StationArgs, batch: &Batch) -> Result<VecDeque<String>, Failure> {
    let Some(at_once) = args.emulator else { return Ok(VecDeque::new()) };
    let count = match args.count {
        Some(count) if args.ports.is_empty() => count,
        _ => u16::from(at_once),
    };
    let name = if batch.name().is_empty() { "STATION" } else { batch.name() };
    // A token's serial is shorter than a batch's name may be; `-0001` follows.
    let name: String =
        name.to_ascii_uppercase().replace('.', "-").chars().take(link::SERIAL_MAX - 5).collect();
    let mut serials = VecDeque::new();
    for n in 1..=SERIALS_MAX {
        if serials.len() == usize::from(count) || (args.state.is_some() && n > count) {
            break;
        }
        let serial = format!("{name}-{n:04}");
        let path = format!("/v1/provisioning/devices/{}", segment(&serial));
        let taken = match args.state {
            Some(_) => batch.is_done(&serial),
            None => client.find::<wire::Device>(&path)?.is_some(),
        };
        if !taken {
            serials.push_back(serial);
        }
    }
    Ok(serials)
}

/// Runs all ports, and shows what they do, until there is nothing left or somebody ends it.
fn work_through(
    shared: &Shared<'_>,
    places: Vec<Place>,
    devices: Option<Devices>,
    total: Option<usize>,
) -> Result<(), Failure> {
    std::thread::scope(|scope| Desk::new(scope, shared, places, devices, total).run())
}

fn finish(
    global: &Global,
    client: &Client<'_>,
    args: &StationArgs,
    shared: &Shared<'_>,
    total: Option<usize>,
) -> Result<ExitCode, Failure> {
    let batch = shared.batch.lock();
    batch.save(client)?;
    let mut notices = Vec::new();
    let mut written = None;
    if let Some(path) = &args.labels {
        match labels::write(&batch, &label_kind(args), path) {
            Ok(()) => written = Some(path),
            Err(notice) => notices.push(notice),
        }
    }
    let done = batch.done();
    let failed = batch.items().iter().filter(|item| item.state == Progress::Failed).count();
    let left = total.unwrap_or(0).saturating_sub(done);
    let report =
        Report { batch: batch.name(), done, failed, left, items: batch.items(), labels: written, notices };
    print(global, &report, describe)?;
    let well = failed == 0 && left == 0;
    Ok(ExitCode::from(if well { EXIT_DONE } else { EXIT_REFUSED }))
}

/// What a label says of its token.
fn label_kind(args: &StationArgs) -> String {
    let algorithm = args.algorithm.as_deref().unwrap_or("SHA1");
    format!("{} {algorithm}, {} digits", args.kind.name().to_ascii_uppercase(), args.digits.unwrap_or(6))
}

fn describe(report: &Report<'_>) -> String {
    let mut text = format!("{} done, {} failed", report.done, report.failed);
    if report.left > report.failed {
        text += &format!(", {} left", report.left - report.failed);
    }
    let cut = report.items.iter().filter(|item| item.state == Progress::Working).count();
    if cut > 0 {
        text += &format!(", {cut} of them begun");
    }
    for item in report.items.iter().filter(|item| item.state != Progress::Done) {
        let error = item.error.as_deref().unwrap_or("begun, and not through");
        text += &format!("\n  {}: {error}", item.serial);
    }
    if let Some(path) = report.labels {
        text += &format!("\nlabels: {}", path.display());
    }
    report.notices.iter().for_each(|notice| text += &format!("\n{notice}"));
    text
}
