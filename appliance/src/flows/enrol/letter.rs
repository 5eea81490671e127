//! The registration of a number with the key of an activation letter, as an enrolment (D-56): steps 1 to 15 in the
//! commit of its last screen. The appliance activates on the authority of who ordered the letter (BIND-25).

use domain::enrol::{
    Activity, Channel, Check, Factor, Level, Method, Order, Progress, ProofKind, RULE_VERSION, Refusal,
    Requester,
};
use domain::event::Event;
use domain::token::Id;

use super::identity::Identity;
use super::request::{Looked, look_whether_eligible, new_row};
use super::work::{Doing, Ready, Work};
use crate::appliance::Appliance;
use crate::flows::{Caller, FlowError, handle};
use crate::store::letter::LetterRow;
use crate::store::user::UserRow;
use crate::store::{StoreError, Writing, vetting};

/// Which factor of the user's a number is: the second one.
const FACTOR_INDEX: u8 = 2;

/// The enrolment of a number by letter, to be written with the number.
pub(crate) struct ByLetter {
    ready: Ready,
    sealed: Vec<u8>,
    at: i64,
    /// The level that comes out.
    pub(crate) level: Level,
}

impl ByLetter {
    /// Its handle.
    pub(crate) fn handle(&self) -> String {
        handle(&self.ready.row().order.id)
    }

    /// Writes it, in the act's own transaction.
    ///
    /// # Errors
    /// SQLite's.
    pub(crate) fn write(&self, writing: &mut Writing<'_>) -> Result<(), StoreError> {
        self.ready.write(writing)?;
        vetting::put_identity(writing, &self.ready.row().order.id, &self.sealed, self.at)
    }
}

/// Whether the key of a letter counts for anything (BIND-33).
pub(crate) fn is_enabled(app: &Appliance) -> bool {
    app.config.enrol.methods.contains(&Method::Letter)
}

/// Takes all the steps of a number whose code and whose letter's key were right; none when the rules say no, which is
/// an event. The caller holds the user's lock.
///
/// # Errors
/// When the HSM or the store cannot answer.
pub(crate) fn by_letter(
    app: &Appliance,
    caller: &Caller,
    owner: &UserRow,
    letter: &LetterRow,
    phone: &Id,
    shown: &str,
) -> Result<Option<ByLetter>, FlowError> {
    match steps(app, caller, owner, letter, phone, shown) {
        Ok(by_letter) => Ok(by_letter),
        Err(FlowError::Enrol(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn steps(
    app: &Appliance,
    caller: &Caller,
    owner: &UserRow,
    letter: &LetterRow,
    phone: &Id,
    shown: &str,
) -> Result<Option<ByLetter>, FlowError> {
    let order = Order {
        id: app.new_id()?,
        user: owner.id,
        factor_index: FACTOR_INDEX,
        channel: Channel::LocalLogin,
        by: Requester::Applicant,
        method: Method::Letter,
        target: Level::Two,
        policy: app.config.enrol.policy.version.clone(),
    };
    let id = order.id;
    let row = new_row(order, caller.application, String::new(), app.clock.now().wall_ms);
    let mut work = Work::begin(app, caller, owner, row, None)?;
    if !is_enabled(app) {
        let doing = Doing::new("enrol.requested", Activity::Request);
        return Err(work.refuse(doing, Refusal::MethodDisabled(Method::Letter))?);
    }
    let judged = Progress::requested(&work.row.order, true, &work.now);
    let asked = Doing::new("enrol.requested", Activity::Request)
        .about("channel", Channel::LocalLogin.name())
        .about("requested_by", Requester::Applicant.name())
        .about("first_factor", shown);
    work.go(asked, judged)?;
    if look_whether_eligible(&mut work, Looked::Whole)? {
        let reason = work.row.reason.clone().unwrap_or_default();
        let event = Event::refused(work.now.wall_ms, "enrol.rejected", caller.actor.clone(), reason);
        app.refuse(event.about("user_ref", &owner.user_ref))?;
        return Ok(None);
    }
    let judged = work.progress().selected(&work.rules(), Factor::Sms);
    let doing = Doing::new("enrol.factor_selected", Activity::Selection);
    work.go(doing.about("factor", Factor::Sms.name()).about("selected_by", "applicant"), judged)?;
    let judged = work.progress().possession_pre(&work.rules(), *phone);
    work.go(Doing::new("enrol.possession_proven", Activity::PossessionPre).input(phone), judged)?;
    let judged = work.progress().vetting(&work.rules(), None);
    work.go(Doing::new("enrol.vetting", Activity::Vet), judged)?;
    let by = format!("letter {}", handle(&letter.order.id));
    let identity = Identity::vouched(ProofKind::ActivationCode, by, &letter.ordered_by, work.now.wall_ms);
    let sealed = identity.seal(app, owner, &id)?;
    let check = Check::Proof { kind: ProofKind::ActivationCode, security_features: false, vouched: None };
    let judged = work.progress().checked(&work.rules(), check);
    let doing = Doing::new("enrol.proof_checked", Activity::VetProof).input(&sealed);
    work.go(doing.about("letter", handle(&letter.order.id)).about("result", "ok"), judged)?;
    let judged = work.progress().vetted(&work.rules());
    work.go(Doing::new("enrol.vetted", Activity::VetRecord), judged)?;
    let judged = work.progress().bound(&work.rules());
    work.go(Doing::new("enrol.bound", Activity::DigitalId).about("phone", handle(phone)), judged)?;
    let judged = work.progress().activated(&work.rules(), None);
    let level = judged.as_ref().ok().and_then(|progress| progress.level).unwrap_or(Level::One);
    work.row.rule = Some(RULE_VERSION);
    let doing = Doing::new("enrol.activated", Activity::Activate)
        .about("loa", level.name())
        .about("rule", RULE_VERSION.to_string())
        .about("authority", letter.ordered_by.as_str());
    work.go(doing, judged)?;
    // The page of the flow says so at once.
    let judged = work.progress().confirmed(&work.now);
    work.go(Doing::new("enrol.confirmed", Activity::Confirmation).about("channel", "page"), judged)?;
    let at = work.now.steady_ms;
    Ok(Some(ByLetter { ready: work.ready()?, sealed, at, level }))
}
