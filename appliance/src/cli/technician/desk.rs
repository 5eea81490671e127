//! Where a person, or a robot, sits: ports come and go, news is shown, keys and lines are given to the ports.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use super::super::output::Failure;
use super::board::{Board, Line};
use super::ports::{Devices, name_of};
use super::screen::{Did, Screen};
use super::seat::{self, News, Place, Shared};
use crate::clock::{rfc3339, wall_ms};

/// Ports of one station at the most.
pub(super) const PORTS_MAX: usize = 16;
/// How often the names that udev gives are looked at.
const WATCH: Duration = Duration::from_millis(500);
/// Longest wait for news.
const NEWS_WAIT: Duration = Duration::from_millis(100);

/// The desk.
pub(super) struct Desk<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    shared: &'scope Shared<'scope>,
    board: Board,
    /// Tokens to work, if that is known.
    total: Option<usize>,
    sender: Sender<News>,
    news: Receiver<News>,
    running: Vec<ScopedJoinHandle<'scope, Result<(), Failure>>>,
    /// By seat: set to have a failed token worked again.
    again: BTreeMap<usize, Arc<AtomicBool>>,
    /// By seat: what udev has named.
    named: BTreeMap<usize, PathBuf>,
    /// Where to look for more ports; none when they were all named on the command line.
    devices: Option<Devices>,
    watched: Option<Instant>,
}

impl<'scope, 'env> Desk<'scope, 'env> {
    /// A desk with its first ports, at work.
    pub(super) fn new(
        scope: &'scope Scope<'scope, 'env>,
        shared: &'scope Shared<'scope>,
        places: Vec<Place>,
        devices: Option<Devices>,
        total: Option<usize>,
    ) -> Self {
        let (sender, news) = mpsc::channel();
        let board = Board::new(shared.batch.lock().name(), total);
        let (again, named, running) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        let mut desk =
            Desk { scope, shared, board, total, sender, news, running, again, named, devices, watched: None };
        places.into_iter().for_each(|place| desk.attach(place));
        desk
    }

    fn attach(&mut self, place: Place) {
        let name = match &place {
            Place::Port(path) | Place::Named(path) => name_of(path),
            Place::Emulated => "emulated".to_owned(),
        };
        let seat = self.board.add_port(name);
        if let Place::Named(path) = &place {
            self.named.insert(seat, path.clone());
        }
        let again = Arc::new(AtomicBool::new(false));
        self.again.insert(seat, Arc::clone(&again));
        let (shared, sender) = (self.shared, self.sender.clone());
        self.running.push(self.scope.spawn(move || seat::run(seat, shared, &place, again, sender)));
    }

    /// Takes up what udev has named since the last look.
    fn watch_ports(&mut self) {
        let Some(devices) = &self.devices else { return };
        if self.shared.stopped() || self.watched.is_some_and(|last| last.elapsed() < WATCH) {
            return;
        }
        self.watched = Some(Instant::now());
        for path in devices.named() {
            let free = self.named.len() < PORTS_MAX;
            if free && !self.named.values().any(|known| *known == path) {
                self.attach(Place::Named(path));
            }
        }
    }

    /// Whether there is nothing more to wait for.
    fn is_over(&self) -> bool {
        let more_may_come = self.devices.is_some() && !self.shared.stopped();
        self.shared.was_cut() || !(self.board.is_open() || more_may_come)
    }

    /// Shows what the ports do until there is nothing left or somebody ends it.
    pub(super) fn run(mut self) -> Result<(), Failure> {
        let shown = match Screen::open(self.shared.global)? {
            Some(screen) => self.run_screen(screen),
            None => self.run_lines(),
        };
        self.stop();
        if shown.is_err() {
            self.shared.cut.store(true, Ordering::Relaxed);
        }
        // Whoever still waits for a code learns that nobody will type one.
        self.board.handle_silence();
        let ended: Vec<_> = self.running.into_iter().map(ScopedJoinHandle::join).collect();
        shown?;
        ended
            .into_iter()
            .try_for_each(|end| end.unwrap_or_else(|_| Err(Failure::fault("a port's thread ended early"))))
    }

    fn run_screen(&mut self, mut screen: Screen) -> Result<(), Failure> {
        loop {
            self.watch_ports();
            while let Ok(news) = self.news.try_recv() {
                self.handle(news);
            }
            let worked = self.count();
            // A token that has failed may be tried again: the last one of a batch as well.
            if worked && self.board.failed == 0 {
                self.stop();
            }
            screen.draw(&self.board)?;
            if self.is_over() {
                return Ok(());
            }
            match screen.poll_key()? {
                Some(Did::Typed(line)) => self.board.handle_typed(&line),
                Some(Did::Selected { forward }) => self.board.select(forward),
                Some(Did::Retry) => self.retry(),
                Some(Did::Skip) => self.board.handle_skip(),
                Some(Did::Quit) => self.stop(),
                None => {}
            }
        }
    }

    fn run_lines(&mut self) -> Result<(), Failure> {
        let typed = listen();
        let mut silent = false;
        loop {
            self.watch_ports();
            match typed.try_recv() {
                Ok(line) if line.trim() == "q" => self.stop(),
                Ok(line) => self.board.handle_typed(&line),
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => silent = true,
            }
            match self.news.recv_timeout(NEWS_WAIT) {
                Ok(news) => {
                    if let Some(line) = self.handle(news) {
                        self.tell(&line);
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
            if self.count() {
                self.stop();
            }
            if silent {
                self.board.handle_silence();
                if self.total.is_none() {
                    self.stop();
                }
            }
            if self.is_over() {
                return Ok(());
            }
        }
    }

    fn handle(&mut self, news: News) -> Option<Line> {
        if let News::Closed { seat, faulty } = news {
            if self.named.remove(&seat).is_some() && !self.shared.stopped() {
                self.board.take_out(seat);
            }
            self.again.remove(&seat);
            if faulty {
                // What it was doing is lost; the others must not go on without anybody who sees them.
                self.shared.cut.store(true, Ordering::Relaxed);
            }
        }
        self.board.handle_news(news)
    }

    fn retry(&self) {
        if let Some(again) = self.board.failed_here().and_then(|seat| self.again.get(&seat)) {
            again.store(true, Ordering::Relaxed);
        }
    }

    /// Takes the counts anew. True once there are enough tokens.
    fn count(&mut self) -> bool {
        let batch = self.shared.batch.lock();
        (self.board.done, self.board.failed) = (batch.done(), batch.failed());
        self.total.is_some_and(|total| self.board.done + self.board.failed >= total)
    }

    fn stop(&self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }

    fn tell(&self, line: &Line) {
        let global = self.shared.global;
        if global.json {
            eprintln!(
                "{}",
                serde_json::json!({
                    "at": rfc3339(wall_ms()), "event": line.event, "port": line.port, "serial": line.serial,
                    "text": line.text,
                })
            );
        } else if !global.quiet {
            let serial = line.serial.as_deref().map(|serial| format!(" {serial}")).unwrap_or_default();
            println!("{}{serial}: {}", line.port, line.text);
        }
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
