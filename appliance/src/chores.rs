//! What the appliance does by itself: letters that are due, ends of letters, links and flows, what is left to tell. One
//! thread, ended by its switch.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use domain::letter::Kind;
use parking_lot::{Condvar, Mutex};

use crate::appliance::Appliance;
use crate::error::FlowError;
use crate::flows::{backchannel, enrol, former, journey, letters, push};
use crate::live::Live;
use crate::store::{StoreError, meta};

/// How often flows that are over are forgotten.
const FLOWS: Duration = Duration::from_secs(30);
/// How often links that nobody has opened in time are ended.
const LINKS: Duration = Duration::from_secs(5);
/// How often registrations and pushes that nobody answered in time are ended.
const PHONES: Duration = Duration::from_secs(1);
/// How often letters are ended, their files erased, and what a crash has left of them finished.
const LETTERS: Duration = Duration::from_secs(60);
/// How often enrolments are ended, and applicants reminded.
const ENROLMENTS: Duration = Duration::from_secs(10);
/// How often the schedules of letters are looked at.
const SCHEDULES: Duration = Duration::from_secs(1);
/// How often rows of a former schema are looked for, until they are sealed.
const SEALS: Duration = Duration::from_secs(1);
/// How often refusals that were counted and not told are looked for.
const REFUSALS: Duration = Duration::from_secs(5);
/// Pause before a run that could not be done is tried again.
const AGAIN: Duration = Duration::from_secs(60);

/// Tells the thread to end.
#[derive(Default)]
pub struct Switch {
    stopped: Mutex<bool>,
    told: Condvar,
}

impl Switch {
    /// Asks the thread to end after what it is doing.
    pub fn stop(&self) {
        *self.stopped.lock() = true;
        self.told.notify_all();
    }

    fn is_stopped(&self) -> bool {
        *self.stopped.lock()
    }

    fn wait_until(&self, at: Instant) {
        let mut stopped = self.stopped.lock();
        if !*stopped {
            self.told.wait_until(&mut stopped, at);
        }
    }
}

/// Starts the thread.
///
/// # Errors
/// When it cannot be started.
pub fn start(live: &Arc<Live>, switch: &Arc<Switch>) -> std::io::Result<JoinHandle<()>> {
    let (live, switch) = (Arc::clone(live), Arc::clone(switch));
    thread::Builder::new().name("chores".to_owned()).spawn(move || run(&live, &switch))
}

/// A chore with its time.
struct Chore {
    name: &'static str,
    period: Duration,
    act: fn(&Appliance, &Switch) -> Result<(), FlowError>,
    next: Instant,
}

fn run(live: &Live, switch: &Switch) {
    let begun = Instant::now();
    let chore = |name, period, act| Chore { name, period, act, next: begun };
    let mut chores = [
        chore("seals", SEALS, |app, _| former::seal(app)),
        chore("refusals", REFUSALS, |app, _| app.tell_refusals(false)),
        chore("flows", FLOWS, |app, _| journey::sweep(app)),
        chore("links", LINKS, |app, _| journey::link::end_overdue(app)),
        chore("phones", PHONES, |app, _| push::expire::all(app)),
        chore("recovery codes", FLOWS, |app, _| push::codes::end_former(app)),
        chore("push messages", FLOWS, |app, _| push::expire::sweep(app)),
        chore("back-channels", FLOWS, |app, _| backchannel::sweep(app)),
        chore("enrolments", ENROLMENTS, |app, _| enrol::keep::all(app)),
        chore("letters", LETTERS, |app, _| letters::keep::all(app)),
        chore("sms-iak letters", SCHEDULES, |app, switch| scheduled(app, switch, Kind::SmsIak)),
        chore("oath letters", SCHEDULES, |app, switch| scheduled(app, switch, Kind::Oath)),
    ];
    loop {
        for chore in &mut chores {
            if switch.is_stopped() {
                // What is counted ends with the daemon.
                if let Err(error) = live.current().tell_refusals(true) {
                    tracing::error!(%error, "refusals that were counted are not told");
                }
                return;
            }
            if Instant::now() < chore.next {
                continue;
            }
            let pause = match (chore.act)(&live.current(), switch) {
                Ok(()) => chore.period,
                Err(error) => {
                    tracing::error!(chore = chore.name, %error, "not done; it is tried again");
                    chore.period.max(AGAIN)
                }
            };
            chore.next = Instant::now() + pause;
        }
        if let Some(next) = chores.iter().map(|chore| chore.next).min() {
            switch.wait_until(next);
        }
    }
}

/// Typesets what is due when a schedule says so; the time of the last run outlives the daemon.
fn scheduled(app: &Appliance, switch: &Switch, kind: Kind) -> Result<(), FlowError> {
    let settings = &app.config.people.letters;
    let every_ms = match kind {
        Kind::SmsIak => settings.sms_iak.every_ms,
        Kind::Oath => settings.oath.every_ms,
    };
    let Some(every_ms) = every_ms else { return Ok(()) };
    let key = match kind {
        Kind::SmsIak => "letters_run_sms_iak",
        Kind::Oath => "letters_run_oath",
    };
    let last = app.store.read(|c| meta::get(c, key))?.map(|bytes| {
        let fault = || StoreError::Row { table: "meta", column: "value", row: key.to_owned() };
        bytes.try_into().map(i64::from_be_bytes).map_err(|_| fault())
    });
    let now = app.clock.now().steady_ms;
    let due = last
        .transpose()?
        .is_none_or(|last| now.saturating_sub(last) >= i64::try_from(every_ms).unwrap_or(i64::MAX));
    if !due {
        return Ok(());
    }
    let mut after = None;
    loop {
        let run = letters::run(app, &letters::scheduler(), kind, after)?;
        match run.next {
            Some(next) if !switch.is_stopped() => after = Some(next),
            _ => break,
        }
    }
    Ok(app.store.write(move |w| meta::put(w, key, &now.to_be_bytes()))?)
}
