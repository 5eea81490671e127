//! One blocking thread per modem: it takes messages from the outbox and settles what came of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use domain::event::{Actor, Event};
use domain::time::Deadline;
use modem::pdu::{AlphabetChoice, Number, SubmitOptions, submit};
use modem::{Class, Modem, ModemError, ModemSettings, SendError, Urc};
use zeroize::Zeroizing;

use crate::appliance::Appliance;
use crate::bell::Bell;
use crate::config::ModemSection;
use crate::error::FlowError;
use crate::flows::deliver::{self, Outcome, Text};
use crate::live::Live;
use crate::store::outbox::{Dispatch, MessageRow};

/// How long a modem listens before it looks for work unasked.
const LISTEN: Duration = Duration::from_millis(20);
/// How often a modem looks for work that nobody rang for.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Backward step of the wall clock that raises an alarm, in milliseconds.
const CLOCK_STEP_MS: i64 = 60_000;
/// How often overdue messages are dropped, and the clock is looked at.
const SWEEP: Duration = Duration::from_millis(500);
/// Longest wait before a modem that failed is opened again.
const REOPEN_MAX: Duration = Duration::from_secs(15);
const REOPEN_MIN: Duration = Duration::from_millis(250);
/// Pause before a message that a modem refused for a while is taken again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// How often a message is handed to a modem that refuses it for a while.
const TRIES_MAX: u32 = 5;
/// Shortest validity period that the relative format can say (3GPP TS 23.040, 9.2.3.12.1).
const VALIDITY_MIN: Duration = Duration::from_secs(300);
/// Longest file with a SIM PIN, in bytes.
const SIM_PIN_MAX: usize = 16;

/// Tells the threads to end.
#[derive(Default)]
pub struct Switch {
    stopped: AtomicBool,
}

impl Switch {
    /// Asks every thread to end after what it is doing.
    pub fn stop(&self, bell: &Bell) {
        self.stopped.store(true, Ordering::Release);
        bell.ring();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }
}

/// Starts one thread per modem and one that drops what is overdue.
///
/// # Errors
/// When a thread cannot be started.
pub fn start(live: &Arc<Live>, switch: &Arc<Switch>) -> std::io::Result<Vec<JoinHandle<()>>> {
    let mut threads = Vec::new();
    let ready = Arc::new(AtomicBool::new(false));
    {
        let (live, switch, ready) = (Arc::clone(live), Arc::clone(switch), Arc::clone(&ready));
        let keeper = move || keep_outbox(&live, &switch, &ready);
        threads.push(thread::Builder::new().name("outbox".to_owned()).spawn(keeper)?);
    }
    for section in &live.current().config.modems {
        let (live, switch, ready) = (Arc::clone(live), Arc::clone(switch), Arc::clone(&ready));
        let section = section.clone();
        let name = format!("modem-{}", section.id);
        let run = move || Worker { live: &live, switch: &switch, section: &section }.run(&ready);
        threads.push(thread::Builder::new().name(name).spawn(run)?);
    }
    Ok(threads)
}

/// Settles what the former run left, then drops overdue messages.
fn keep_outbox(live: &Live, switch: &Switch, ready: &AtomicBool) {
    let mut seen = 0;
    let mut watch = ClockWatch::default();
    while !switch.is_stopped() {
        let app = live.current();
        watch.look(&app);
        let done = if ready.load(Ordering::Acquire) {
            deliver::drop_overdue(&app)
        } else {
            deliver::settle_interrupted(&app).map(|settled| {
                if settled > 0 {
                    tracing::warn!(settled, "messages were being sent when the appliance stopped: unknown");
                }
                ready.store(true, Ordering::Release);
            })
        };
        if let Err(error) = done {
            tracing::warn!(%error, "the outbox cannot be kept up");
        }
        seen = app.bell.wait(seen, SWEEP);
    }
}

/// Raises an alarm once per step when the wall clock falls behind what was seen before.
#[derive(Default)]
struct ClockWatch {
    behind: bool,
}

impl ClockWatch {
    fn look(&mut self, app: &Appliance) {
        let now = app.clock.now();
        let behind = now.steady_ms - now.wall_ms > CLOCK_STEP_MS;
        if behind && !self.behind {
            let seconds = (now.steady_ms - now.wall_ms) / 1000;
            tracing::error!(
                seconds,
                "the wall clock ran back; time-based codes may be refused until it is right"
            );
            let text = format!("{seconds} s behind the latest time seen");
            let event = Event::failed(now.wall_ms, "clock.stepped_back", Actor::system("clock"), text);
            if let Err(error) = app.store.write(move |w| crate::store::event::append(w, &event).map(drop)) {
                tracing::error!(%error, "the clock's alarm could not be written down");
                return;
            }
        }
        self.behind = behind;
    }
}

struct Worker<'a> {
    live: &'a Live,
    switch: &'a Switch,
    section: &'a ModemSection,
}

impl Worker<'_> {
    fn app(&self) -> Arc<Appliance> {
        self.live.current()
    }

    fn run(&self, outbox_ready: &AtomicBool) {
        let mut pause = REOPEN_MIN;
        let up = metrics::gauge!("countersign_modem_up", "modem" => self.section.id.clone());
        up.set(0.0);
        let mut last_error = String::new();
        while !self.switch.is_stopped() {
            if !outbox_ready.load(Ordering::Acquire) {
                self.rest(SWEEP);
                continue;
            }
            match self.open() {
                Ok(mut modem) => {
                    pause = REOPEN_MIN;
                    last_error.clear();
                    up.set(1.0);
                    self.note(Event::ok(self.now_ms(), "modem.up", Actor::system(&self.section.id)));
                    let error = self.serve(&mut modem);
                    up.set(0.0);
                    if let Some(error) = error {
                        tracing::warn!(modem = %self.section.id, %error, "modem lost");
                        let actor = Actor::system(&self.section.id);
                        self.note(Event::failed(self.now_ms(), "modem.down", actor, error.to_string()));
                    }
                }
                Err(error) => {
                    let text = error.to_string();
                    if text != last_error {
                        tracing::warn!(modem = %self.section.id, error = %text, "modem cannot be used");
                        let actor = Actor::system(&self.section.id);
                        self.note(Event::failed(self.now_ms(), "modem.down", actor, text.clone()));
                        last_error = text;
                    }
                    self.rest(pause);
                    pause = (pause * 2).min(REOPEN_MAX);
                }
            }
        }
    }

    fn now_ms(&self) -> i64 {
        self.app().clock.now().wall_ms
    }

    fn note(&self, event: Event) {
        let noted = self.app().store.write(move |w| crate::store::event::append(w, &event).map(drop));
        if let Err(error) = noted {
            tracing::error!(%error, "an event could not be written");
        }
    }

    /// Waits, but not past a stop.
    fn rest(&self, pause: Duration) {
        let until = Instant::now() + pause;
        let mut seen = self.app().bell.count();
        while !self.switch.is_stopped() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            seen = self.app().bell.wait(seen, left);
        }
    }

    fn open(&self) -> Result<Modem, ModemError> {
        let sim_pin = match &self.section.sim_pin_file {
            None => None,
            Some(path) => match read_pin(path) {
                Ok(pin) => Some(pin),
                Err(error) => {
                    tracing::error!(modem = %self.section.id, %error, "SIM PIN file cannot be used");
                    None
                }
            },
        };
        Modem::open(&ModemSettings {
            port: self.section.port.clone(),
            sim_pin,
            smsc: self.section.smsc.as_deref().and_then(|text| Number::parse(text).ok()),
            sim_latch: self.app().config.state_dir.join(format!("sim-{}.latch", self.section.id)),
        })
    }

    /// Serves until the modem is lost, or the appliance stops.
    fn serve(&self, modem: &mut Modem) -> Option<ModemError> {
        let mut seen = 0;
        let mut looked = None::<Instant>;
        while !self.switch.is_stopped() {
            let rung = self.app().bell.count();
            let due = looked.is_none_or(|at| at.elapsed() >= LOOK_AGAIN);
            if rung != seen || due {
                seen = rung;
                looked = Some(Instant::now());
                match self.send_waiting(modem) {
                    Ok(()) => {}
                    Err(Lost::Modem(error)) => return Some(error),
                    Err(Lost::Flow(error)) => {
                        tracing::warn!(modem = %self.section.id, %error, "the outbox cannot be served");
                        self.rest(RETRY_PAUSE);
                    }
                }
            }
            match modem.idle(LISTEN) {
                Ok(urcs) => {
                    if let Some(error) = self.heed(urcs) {
                        return Some(error);
                    }
                }
                Err(error) => return Some(error),
            }
        }
        None
    }

    /// What the modem said unasked.
    fn heed(&self, urcs: Vec<Urc>) -> Option<ModemError> {
        for urc in urcs {
            match urc {
                Urc::StatusReport(Ok(report), _) => {
                    let (Some(reference), Some(status)) = (report.message_reference, report.status) else {
                        continue;
                    };
                    // 3GPP TS 23.040, 9.2.3.15: below 0x20 delivered, 0x20 to 0x3f still trying.
                    if (0x20..0x40).contains(&status) {
                        continue;
                    }
                    let told = deliver::reported(&self.app(), &self.section.id, reference, status < 0x20);
                    if let Err(error) = told {
                        tracing::warn!(%error, "a status report could not be saved");
                    }
                }
                Urc::Restarted(line) => {
                    tracing::warn!(modem = %self.section.id, line, "the modem began anew");
                    return Some(ModemError::Unplugged(self.section.port.clone()));
                }
                _ => {}
            }
        }
        None
    }

    fn send_waiting(&self, modem: &mut Modem) -> Result<(), Lost> {
        while !self.switch.is_stopped() {
            let Some(message) = deliver::claim(&self.app(), &self.section.id)? else { return Ok(()) };
            self.send(modem, &message)?;
        }
        Ok(())
    }

    fn send(&self, modem: &mut Modem, message: &MessageRow) -> Result<(), Lost> {
        let text = match deliver::compose(&self.app(), message) {
            Ok(Some(text)) => text,
            Ok(None) => {
                let error = Some("its code is not wanted any more".to_owned());
                self.settle(message, Outcome::Failed(Dispatch { error, ..Dispatch::default() }));
                return Ok(());
            }
            Err(error) if error.is_unavailable() => {
                let dispatch = Dispatch { error: Some(error.to_string()), ..Dispatch::default() };
                self.settle(message, Outcome::Again(dispatch));
                return Err(Lost::Flow(error));
            }
            Err(error) => {
                if let Err(unwritten) = self.app().note_tampering(&error, &Actor::system(&self.section.id)) {
                    tracing::error!(%unwritten, "tampering could not be written down");
                }
                let error = Some("what is stored of it cannot be used".to_owned());
                self.settle(message, Outcome::Failed(Dispatch { error, ..Dispatch::default() }));
                return Ok(());
            }
        };
        let (outcome, lost) = self.transmit(modem, message, &text);
        let again = matches!(outcome, Outcome::Again(_));
        self.settle(message, outcome);
        if lost {
            return Err(Lost::Modem(ModemError::Unplugged(self.section.port.clone())));
        }
        if again {
            self.rest(RETRY_PAUSE);
        }
        Ok(())
    }

    /// Saves what came of a message, however long HSM or store take to answer again: nothing else is sent
    /// meanwhile. At a stop the message stays `sending`, and the next start makes it `unknown`.
    fn settle(&self, message: &MessageRow, outcome: Outcome) {
        while let Err(error) = deliver::settle(&self.app(), message, outcome.clone()) {
            tracing::warn!(modem = %self.section.id, %error, "what came of a message cannot be saved yet");
            if self.switch.is_stopped() {
                return;
            }
            self.rest(RETRY_PAUSE);
        }
    }

    /// Sends all parts. The flag says that the modem is gone.
    fn transmit(&self, modem: &mut Modem, message: &MessageRow, text: &Text) -> (Outcome, bool) {
        let left = Duration::from_millis(message.expires.remaining_ms(&self.app().clock.now()));
        let options = SubmitOptions {
            class0: false,
            validity: Some(left.max(VALIDITY_MIN)),
            report: true,
            alphabet: AlphabetChoice::Auto,
            reference: message.id[15],
        };
        let tpdus = Number::parse(text.number.expose())
            .map_err(|error| error.to_string())
            .and_then(|number| submit(&number, &text.body, &options).map_err(|error| error.to_string()));
        let tpdus = match tpdus {
            Ok(tpdus) => tpdus,
            Err(error) => {
                return (Outcome::Failed(Dispatch { error: Some(error), ..Dispatch::default() }), false);
            }
        };
        let parts = u32::try_from(tpdus.len()).unwrap_or(u32::MAX);
        let mut dispatch = Dispatch { parts, ..Dispatch::default() };
        for tpdu in &tpdus {
            match modem.send(tpdu, instant_of(&message.expires, &self.app())) {
                Ok(reference) => dispatch.refs.push(reference.to_string()),
                Err(error) => return self.judge(error, message, dispatch),
            }
        }
        (Outcome::Sent(dispatch), false)
    }

    fn judge(&self, error: SendError, message: &MessageRow, mut dispatch: Dispatch) -> (Outcome, bool) {
        dispatch.error = Some(error.to_string());
        let untouched = dispatch.refs.is_empty();
        match error {
            SendError::Unknown { .. } => (Outcome::Unknown(dispatch), false),
            SendError::Unplugged { pdu_started: true } => (Outcome::Unknown(dispatch), true),
            SendError::Unplugged { pdu_started: false } if untouched => (Outcome::Again(dispatch), true),
            SendError::Unplugged { .. } => (Outcome::Unknown(dispatch), true),
            SendError::NotSent { class: Class::Permanent, .. } => (Outcome::Failed(dispatch), false),
            SendError::NotSent { .. } if untouched && message.tries < TRIES_MAX => {
                (Outcome::Again(dispatch), false)
            }
            SendError::NotSent { .. } => (Outcome::Failed(dispatch), false),
        }
    }
}

/// The boot deadline as an instant of this process.
fn instant_of(deadline: &Deadline, app: &Appliance) -> Instant {
    Instant::now() + Duration::from_millis(deadline.remaining_ms(&app.clock.now()))
}

fn read_pin(path: &std::path::Path) -> std::io::Result<Zeroizing<String>> {
    use std::io::Read;
    let mut pin = Zeroizing::new(String::with_capacity(SIM_PIN_MAX));
    std::fs::File::open(path)?.take(SIM_PIN_MAX as u64).read_to_string(&mut pin)?;
    let trimmed = pin.trim_end_matches(['\r', '\n']).to_owned();
    Ok(Zeroizing::new(trimmed))
}

/// Why a round of sending ended early.
enum Lost {
    Modem(ModemError),
    Flow(FlowError),
}

impl From<FlowError> for Lost {
    fn from(error: FlowError) -> Self {
        Lost::Flow(error)
    }
}
