//! One act at one enrolment: loaded and checked, judged step by step, saved with its events in one commit.

use domain::canonical::Canonical;
use domain::enrol::policy::Column;
use domain::enrol::{Activity, Progress, Refusal, Rules, State};
use domain::event::Event;
use domain::time::Now;
use domain::token::Id;
use hsm::{HsmError, MacPurpose};
use parking_lot::MutexGuard;
use sha2::{Digest, Sha256};

use super::end::Unused;
use crate::appliance::Appliance;
use crate::flows::{Caller, FlowError, OPERATOR, handle, users};
use crate::store::enrolment::{self, EnrolmentRow};
use crate::store::user::UserRow;
use crate::store::vetting::{self, StepRow};
use crate::store::{StoreError, Writing, enrolment_number, event, user};

/// Longest words of who does a step, in characters (BIND-41).
const REMARK_MAX: usize = 500;
/// Longest name of a place, in characters.
pub(super) const PLACE_MAX: usize = 128;
/// Longest reason, in bytes.
const REASON_MAX: usize = 64;
/// What a changed row is called.
const TABLE: &str = "the enrolment";

/// What the seal of a step's words covers besides them.
fn remark_aad(enrolment: &Id, nth: u32) -> Vec<u8> {
    Canonical::new("countersign enrolment remark 1").bytes(enrolment).int(nth.into()).finish()
}

/// What is done, for its step and its event.
pub(crate) struct Doing {
    event: &'static str,
    activity: Option<Activity>,
    place: Option<String>,
    digested: Vec<u8>,
    remark: Option<String>,
    result: String,
    about: Vec<(&'static str, String)>,
}

impl Doing {
    /// An activity under the name of its event.
    pub(crate) fn new(event: &'static str, activity: Activity) -> Self {
        Doing { activity: Some(activity), ..Doing::end(event, "ok") }
    }

    /// An end, which is no activity, with its reason.
    pub(crate) fn end(event: &'static str, reason: &str) -> Self {
        Doing {
            event,
            activity: None,
            place: None,
            digested: Vec::new(),
            remark: None,
            result: reason.to_owned(),
            about: Vec::new(),
        }
    }

    /// Where it is done.
    pub(crate) fn place(self, place: Option<String>) -> Self {
        Doing { place, ..self }
    }

    /// What goes in: sealed, or not about a person, since its digest outlives the person's record.
    pub(crate) fn input(mut self, bytes: &[u8]) -> Self {
        self.digested = Canonical::new("").bytes(&self.digested).bytes(bytes).finish();
        self
    }

    /// Words of who does it.
    pub(crate) fn remark(self, remark: Option<String>) -> Self {
        Doing { remark, ..self }
    }

    /// One more thing that the event is about.
    pub(crate) fn about(mut self, what: &'static str, which: impl Into<String>) -> Self {
        self.about.push((what, which.into()));
        self
    }
}

/// Checks a text of a bounded length on one line.
///
/// # Errors
/// [`FlowError::Invalid`].
pub(super) fn check_line(what: &str, text: &str, max: usize) -> Result<(), FlowError> {
    let length = text.chars().count();
    if (1..=max).contains(&length) && !text.chars().any(char::is_control) {
        return Ok(());
    }
    Err(FlowError::Invalid(format!("{what}: must be 1 to {max} characters on one line")))
}

/// Checks a reason: a word that programs look at.
///
/// # Errors
/// [`FlowError::Invalid`].
pub(super) fn check_reason(text: &str) -> Result<(), FlowError> {
    let is_word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'.';
    if (1..=REASON_MAX).contains(&text.len()) && text.bytes().all(is_word) {
        return Ok(());
    }
    Err(FlowError::Invalid(format!("reason: must be 1 to {REASON_MAX} of a-z, 0-9, _ and .")))
}

/// An act under way.
pub(crate) struct Work<'a> {
    pub(super) app: &'a Appliance,
    pub(super) caller: &'a Caller,
    pub(super) now: Now,
    /// Whose enrolment it is.
    pub(super) owner: UserRow,
    /// As it is by now.
    pub(super) row: EnrolmentRow,
    /// What the policy in effect asks for.
    pub(super) column: Column,
    /// Root vets because nobody else can (D-54).
    pub(super) bootstrap: bool,
    loaded: Option<EnrolmentRow>,
    steps: Vec<(StepRow, Event)>,
    taken: u32,
    order: Option<MutexGuard<'a, ()>>,
}

/// Finds an enrolment.
///
/// # Errors
/// [`FlowError::NotFound`]; [`FlowError::Tampered`].
pub(super) fn find(app: &Appliance, id: &Id) -> Result<EnrolmentRow, FlowError> {
    let row = app.store.read(|c| enrolment::by_id(c, id))?.ok_or(FlowError::NotFound("enrolment"))?;
    check(app, &row)?;
    Ok(row)
}

/// Checks that nobody changed an enrolment outside the appliance.
///
/// # Errors
/// [`FlowError::Tampered`]; when the HSM cannot answer.
pub(super) fn check(app: &Appliance, row: &EnrolmentRow) -> Result<(), FlowError> {
    app.check_row(TABLE, &handle(&row.order.id), row.bytes(), &row.mac)
}

fn owner_of(app: &Appliance, row: &EnrolmentRow) -> Result<UserRow, FlowError> {
    let owner = app.store.read(|c| user::by_id(c, &row.order.user))?.ok_or(FlowError::NotFound("user"))?;
    users::check_account(app, &owner)?;
    Ok(owner)
}

fn column_of(app: &Appliance, row: &EnrolmentRow) -> Result<Column, FlowError> {
    let (method, target) = (row.order.method, row.order.target);
    app.config.enrol.policy.column(method, target).cloned().ok_or_else(|| {
        let text = format!("the policy has no column for {} and level {}", method.name(), target.name());
        FlowError::Conflict(text)
    })
}

impl<'a> Work<'a> {
    /// Opens an enrolment; one whose time is over is ended first.
    ///
    /// # Errors
    /// [`FlowError::NotFound`]; [`FlowError::Tampered`]; [`FlowError::Busy`].
    pub(super) fn open(app: &'a Appliance, caller: &'a Caller, id: &Id) -> Result<Self, FlowError> {
        let mut work = Self::open_as_it_is(app, caller, id)?;
        if work.is_over() {
            work.expire()?;
            let order = work.order.take();
            let unused = Unused::of(&work)?;
            work.commit(move |w| unused.write(w))?;
            work = Self::load(app, caller, id)?;
            work.order = order;
        }
        Ok(work)
    }

    /// Opens an enrolment whose time may be over.
    ///
    /// # Errors
    /// As [`Work::open`].
    pub(super) fn open_as_it_is(app: &'a Appliance, caller: &'a Caller, id: &Id) -> Result<Self, FlowError> {
        let user = app.store.read(|c| enrolment::by_id(c, id))?.ok_or(FlowError::NotFound("enrolment"))?;
        let order = app.lock_user(&user.order.user)?;
        let mut work = Self::load(app, caller, id)?;
        work.order = Some(order);
        Ok(work)
    }

    /// The same for who holds the user's lock.
    ///
    /// # Errors
    /// As [`Work::open`].
    pub(super) fn load(app: &'a Appliance, caller: &'a Caller, id: &Id) -> Result<Self, FlowError> {
        let row = find(app, id)?;
        let owner = owner_of(app, &row)?;
        let column = column_of(app, &row)?;
        let taken = app.store.read(|c| vetting::step_count(c, id))?;
        let now = app.clock.now();
        let loaded = Some(row.clone());
        let steps = Vec::new();
        Ok(Work { app, caller, now, owner, row, column, bootstrap: false, loaded, steps, taken, order: None })
    }

    /// Begins a new enrolment, which is not stored yet. The caller holds the user's lock, or hands it over.
    ///
    /// # Errors
    /// [`FlowError::Conflict`] where the policy has no such column.
    pub(super) fn begin(
        app: &'a Appliance,
        caller: &'a Caller,
        owner: &UserRow,
        row: EnrolmentRow,
        order: Option<MutexGuard<'a, ()>>,
    ) -> Result<Self, FlowError> {
        let column = column_of(app, &row)?;
        Ok(Work {
            app,
            caller,
            now: app.clock.now(),
            owner: owner.clone(),
            row,
            column,
            bootstrap: false,
            loaded: None,
            steps: Vec::new(),
            taken: 0,
            order,
        })
    }

    /// What its acts are judged by.
    pub(super) fn rules(&self) -> Rules<'_> {
        Rules { order: &self.row.order, column: &self.column, now: &self.now }
    }

    /// Where it stands.
    pub(super) fn progress(&self) -> Progress {
        self.row.progress
    }

    /// The token or phone that it held when it was loaded.
    pub(super) fn held(&self) -> Option<Id> {
        self.loaded.as_ref().and_then(|loaded| loaded.progress.item)
    }

    /// Whether its time is over, and nobody has written that down.
    pub(super) fn is_over(&self) -> bool {
        self.row.progress.state.is_open() && self.row.progress.aged(&self.now).state == State::Expired
    }

    /// Ends it because its time is over.
    ///
    /// # Errors
    /// [`FlowError::Enrol`] once it is over already.
    pub(super) fn expire(&mut self) -> Result<(), FlowError> {
        let reason = if self.row.progress.code_until_ms.is_some_and(|end| self.now.steady_ms >= end) {
            "code_expired"
        } else {
            "idle"
        };
        let judged = self.row.progress.ended(State::Expired, &self.now);
        self.row.reason = Some(reason.to_owned());
        self.go(Doing::end("enrol.expired", reason), judged)
    }

    fn event_about(&self, event: Event, doing: &Doing) -> Event {
        let mut event = event
            .about("user_ref", &self.owner.user_ref)
            .about("enrolment", handle(&self.row.order.id))
            .about("method", self.row.order.method.name());
        if let Some(activity) = doing.activity {
            event = event.about("activity", activity.long_id()).about("short_id", activity.short_id());
        }
        if self.bootstrap {
            event = event.about("bootstrap", "no registration authority of this level");
        }
        doing.about.iter().fold(event, |event, (what, which)| event.about(what, which.as_str()))
    }

    /// Takes a step that was judged; a refusal is an event, and ends the act.
    ///
    /// # Errors
    /// [`FlowError::Enrol`]; when the HSM or the store cannot answer.
    pub(super) fn go(&mut self, doing: Doing, judged: Result<Progress, Refusal>) -> Result<(), FlowError> {
        let progress = match judged {
            Ok(progress) => progress,
            Err(refusal) => return Err(self.refuse(doing, refusal)?),
        };
        let nth = self.taken + 1;
        let remark = match (&doing.remark, &self.owner.person_key) {
            (Some(words), Some(key)) => {
                check_line("remark", words, REMARK_MAX)?;
                Some(self.app.hsm.seal(key, &remark_aad(&self.row.order.id, nth), words.as_bytes())?)
            }
            _ => None,
        };
        if let Some(place) = &doing.place {
            check_line("place", place, PLACE_MAX)?;
        }
        let mut hash = Sha256::new().chain_update(&doing.digested);
        hash.update(remark.as_deref().unwrap_or_default());
        let digest: [u8; 32] = hash.finalize().into();
        let ok = doing.result == "ok";
        let event = self.app.event(doing.event, self.caller);
        let mut event = self.event_about(event, &doing).about("state", progress.state.name());
        event = event.about("digest", data_encoding::HEXLOWER.encode(&digest));
        if !ok {
            event.reason = Some(doing.result.clone());
        }
        self.taken = nth;
        self.row.progress = progress;
        let step = StepRow {
            enrolment: self.row.order.id,
            nth,
            event: doing.event.to_owned(),
            activity: doing.activity,
            at: self.now.wall_ms,
            actor: vetting::actor_of(&self.caller.actor),
            place: doing.place,
            result: doing.result,
            digest,
            remark,
            event_seq: 0,
            mac: [0; 32],
        };
        self.steps.push((step, event));
        Ok(())
    }

    /// Writes the event of a refusal, and gives the refusal. What an applicant can be refused without end is counted, and
    /// few of many alike are written; wrong codes have limits of their own.
    ///
    /// # Errors
    /// When the store cannot answer.
    pub(super) fn refuse(&self, doing: Doing, refusal: Refusal) -> Result<FlowError, FlowError> {
        let kind = match refusal {
            Refusal::TokenMismatch => "enrol.token_mismatch",
            _ => doing.event,
        };
        let event = Event::refused(self.now.wall_ms, kind, self.caller.actor.clone(), refusal.code());
        let event = self.event_about(event, &doing);
        if self.caller.actor.kind == OPERATOR || refusal == Refusal::NotShown {
            self.app.refuse(event)?;
        } else if self.loaded.is_some() {
            self.app.refuse_seldom(&handle(&self.row.order.id), event)?;
        } else {
            self.app.refuse_seldom(&self.owner.user_ref, event)?;
        }
        Ok(refusal.into())
    }

    /// Puts it under its MACs.
    ///
    /// # Errors
    /// When the HSM cannot answer.
    pub(crate) fn ready(self) -> Result<Ready, FlowError> {
        let Work { app, mut row, loaded, mut steps, .. } = self;
        let data = std::iter::once(row.bytes()).chain(steps.iter().map(|(step, _)| step.bytes()));
        let mut macs = app.hsm.mac(MacPurpose::Row, data.collect())?.into_iter();
        row.mac = macs.next().ok_or(HsmError::Protocol)?;
        for (step, _) in &mut steps {
            step.mac = macs.next().ok_or(HsmError::Protocol)?;
        }
        Ok(Ready { loaded, next: row, steps })
    }

    /// Saves it with its events and whatever else the act writes.
    ///
    /// # Errors
    /// [`StoreError::Changed`] when another act was first; when the HSM or the store cannot answer.
    pub(super) fn commit(
        mut self,
        also: impl FnOnce(&mut Writing<'_>) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<EnrolmentRow, FlowError> {
        let app = self.app;
        // The lock goes after the commit.
        let _order = self.order.take();
        let ready = self.ready()?;
        let next = ready.next.clone();
        app.store.write(move |w| {
            ready.write(w)?;
            also(w)
        })?;
        Ok(next)
    }
}

/// An act that can be written.
pub(crate) struct Ready {
    loaded: Option<EnrolmentRow>,
    next: EnrolmentRow,
    steps: Vec<(StepRow, Event)>,
}

impl Ready {
    /// The enrolment as it will be.
    pub(crate) fn row(&self) -> &EnrolmentRow {
        &self.next
    }

    /// Writes it, in the act's own transaction.
    ///
    /// # Errors
    /// [`StoreError::Changed`] when another act was first; SQLite's.
    pub(crate) fn write(&self, writing: &mut Writing<'_>) -> Result<(), StoreError> {
        match &self.loaded {
            None => enrolment::insert(writing, &self.next)?,
            Some(loaded) if enrolment::put(writing, loaded, &self.next)? => {}
            Some(_) => return Err(StoreError::Changed("the enrolment")),
        }
        let progress = &self.next.progress;
        if progress.state == State::Revoked {
            vetting::end_identity(writing, &self.next.order.id, vetting::End::Revoked, progress.acted_at_ms)?;
        }
        // What takes effect is written after this, and what does not is nobody's any more.
        if !progress.state.is_open() {
            enrolment_number::erase(writing, &self.next.order.id)?;
        }
        for (step, event) in &self.steps {
            let seq = event::append(writing, event)?;
            vetting::insert_step(writing, step, seq)?;
        }
        Ok(())
    }
}

/// The words of a step, once its row is checked.
///
/// # Errors
/// [`FlowError::Tampered`]; when the HSM cannot answer.
pub(super) fn remark_of(
    app: &Appliance,
    owner: &UserRow,
    step: &StepRow,
) -> Result<Option<String>, FlowError> {
    let which = handle(&step.enrolment);
    app.check_row("a step of the enrolment", &which, step.bytes(), &step.mac)?;
    let (Some(sealed), Some(key)) = (&step.remark, &owner.person_key) else { return Ok(None) };
    let words = app.hsm.open(key, &remark_aad(&step.enrolment, step.nth), sealed)?;
    let tampered = || FlowError::Tampered { what: "a step of the enrolment", which };
    Ok(Some(std::str::from_utf8(&words).map_err(|_| tampered())?.to_owned()))
}
