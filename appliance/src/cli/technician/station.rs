//! `countersign technician station`: a box of tokens at several ports, one after the other, until the batch is done.

use std::collections::VecDeque;
use std::io::BufRead;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, TryRecvError};
use std::time::Duration;

use clap::Args;
use parking_lot::Mutex;
use serde::Serialize;

use super::super::client::Client;
use super::super::output::{Failure, print};
use super::super::{EXIT_DONE, EXIT_REFUSED, Global};
use super::batch::{Batch, Item, Progress};
use super::board::{Board, Line};
use super::emulator::Works;
use super::screen::{Did, Screen};
use super::seat::{self, News, Place, Shared};
use super::{Kind, labels, work};

/// Ports of one station at the most.
const PORTS_MAX: usize = 16;
/// Longest name of a batch, in characters: it stands on one line of a label.
const BATCH_MAX: usize = 24;
/// Longest wait for news.
const NEWS_WAIT: Duration = Duration::from_millis(100);

/// Work through a box of tokens, at several ports at once.
///
/// Each token is checked, provisioned and proved by a code from its display; then the next one is plugged in. Type a
/// code and press Enter; where several ports wait, type the port's number, a space and the code. Exit 0 when all are
/// done, 1 when some failed or are left.
#[derive(Args)]
pub(in super::super) struct StationArgs {
    /// Serial port; once for each.
    #[arg(long = "port", value_name = "PATH", required_unless_present = "emulator")]
    ports: Vec<PathBuf>,
    /// Emulate tokens, this many at once.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=PORTS_MAX as i64))]
    emulator: Option<u8>,
    /// The maker of emulated tokens; the appliance must trust it.
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
    let places = places(args)?;
    let total = total(args);
    let works = match args.emulator {
        None => None,
        Some(_) => {
            let text =
                "--emulator needs --maker-key FILE: the maker of the tokens, whom the appliance trusts";
            let maker = args.maker_key.as_ref().ok_or_else(|| Failure::usage(text))?;
            Some(Works::prepare(maker, args.state.as_deref())?)
        }
    };
    let shared = Shared {
        global,
        queue: Mutex::new(emulated(args, &batch)),
        batch: Mutex::new(batch),
        wanted: work::Wanted {
            kind: args.kind.name(),
            algorithm: args.algorithm.clone(),
            digits: args.digits,
            question_digits: None,
            slot: 0,
            batch: name,
        },
        works,
        stop: AtomicBool::new(false),
    };
    work_through(&shared, &places, total)?;
    finish(global, &client, args, &shared, total)
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

/// Serials to emulate: those of the batch that are not done yet.
fn emulated(args: &StationArgs, batch: &Batch) -> VecDeque<String> {
    let Some(at_once) = args.emulator else { return VecDeque::new() };
    let count = match args.count {
        Some(count) if args.ports.is_empty() => count,
        _ => u16::from(at_once),
    };
    let name = if batch.name().is_empty() { "STATION" } else { batch.name() };
    let name = name.to_ascii_uppercase().replace('.', "-");
    (1..=count).map(|n| format!("{name}-{n:04}")).filter(|serial| !batch.is_done(serial)).collect()
}

/// Runs all ports, and shows what they do, until there is nothing left or somebody ends it.
fn work_through(shared: &Shared<'_>, places: &[Place], total: Option<usize>) -> Result<(), Failure> {
    let names = places
        .iter()
        .map(|place| match place {
            Place::Port(path) => path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned(),
            Place::Emulated => "emulated".to_owned(),
        })
        .collect();
    let board = Board::new(shared.batch.lock().name(), names, total);
    let (sender, news) = mpsc::channel();
    std::thread::scope(|scope| {
        let ports: Vec<_> = places
            .iter()
            .enumerate()
            .map(|(number, place)| {
                let sender = sender.clone();
                scope.spawn(move || seat::run(number, shared, place, sender))
            })
            .collect();
        drop(sender);
        let shown = Desk { shared, board, total }.watch(&news);
        shared.stop.store(true, Ordering::Relaxed);
        // Whoever still waits for a code learns that nobody will type one.
        drop(news);
        let ended: Vec<_> = ports.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        shown?;
        ended
            .into_iter()
            .try_for_each(|end| end.unwrap_or_else(|_| Err(Failure::fault("a port's thread ended early"))))
    })
}

/// Where a person, or a robot, sits.
struct Desk<'a> {
    shared: &'a Shared<'a>,
    board: Board,
    total: Option<usize>,
}

impl Desk<'_> {
    fn watch(mut self, news: &Receiver<News>) -> Result<(), Failure> {
        match Screen::open(self.shared.global)? {
            Some(screen) => self.watch_screen(news, screen),
            None => self.watch_lines(news),
        }
    }

    fn watch_screen(&mut self, news: &Receiver<News>, mut screen: Screen) -> Result<(), Failure> {
        loop {
            let mut closed = false;
            loop {
                match news.try_recv() {
                    Ok(news) => drop(self.handle(news)),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => {
                        closed = true;
                        break;
                    }
                }
            }
            self.count();
            screen.draw(&self.board)?;
            if closed || !self.board.is_open() {
                return Ok(());
            }
            match screen.poll_key()? {
                Some(Did::Typed(line)) => self.board.handle_typed(&line),
                Some(Did::Next) => self.board.ask_next(),
                Some(Did::Quit) => self.stop(),
                None => {}
            }
        }
    }

    fn watch_lines(&mut self, news: &Receiver<News>) -> Result<(), Failure> {
        let typed = listen();
        let mut silent = false;
        loop {
            match typed.try_recv() {
                Ok(line) if line.trim() == "q" => self.stop(),
                Ok(line) => self.board.handle_typed(&line),
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => silent = true,
            }
            match news.recv_timeout(NEWS_WAIT) {
                Ok(news) => {
                    if let Some(line) = self.handle(news) {
                        self.tell(&line)?;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            self.count();
            if silent {
                self.board.handle_silence();
                if self.total.is_none() {
                    self.stop();
                }
            }
            if !self.board.is_open() {
                return Ok(());
            }
        }
    }

    fn handle(&mut self, news: News) -> Option<Line> {
        self.board.handle_news(news)
    }

    /// Takes the counts anew, and no more tokens once there are enough.
    fn count(&mut self) {
        let batch = self.shared.batch.lock();
        (self.board.done, self.board.failed) = (batch.done(), batch.failed());
        drop(batch);
        if self.total.is_some_and(|total| self.board.done + self.board.failed >= total) {
            self.stop();
        }
    }

    fn stop(&self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }

    fn tell(&self, line: &Line) -> Result<(), Failure> {
        let global = self.shared.global;
        if global.json {
            let line = serde_json::json!({ "port": line.port, "serial": line.serial, "text": line.text });
            eprintln!("{line}");
        } else if !global.quiet {
            let serial = line.serial.as_deref().map(|serial| format!(" {serial}")).unwrap_or_default();
            println!("{}{serial}: {}", line.port, line.text);
        }
        Ok(())
    }
}

/// Lines from standard input. The thread ends with them, or with the process.
fn listen() -> Receiver<String> {
    let (sender, typed) = mpsc::channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let sent = line.is_ok_and(|line| sender.send(line).is_ok());
            if !sent {
                break;
            }
        }
    });
    typed
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
    for item in report.items.iter().filter(|item| item.state != Progress::Done) {
        let error = item.error.as_deref().unwrap_or("was cut");
        text += &format!("\n  {}: {error}", item.serial);
    }
    if let Some(path) = report.labels {
        text += &format!("\nlabels: {}", path.display());
    }
    report.notices.iter().for_each(|notice| text += &format!("\n{notice}"));
    text
}
