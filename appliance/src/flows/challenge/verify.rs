//! What came back for a challenge: a code that was sent is compared in the HSM; a question, a push and a recovery code are
//! judged where they are at home.

use domain::challenge::{State, Wanted};
use domain::event::Event;
use domain::sentcode;
use domain::time::Now;
use domain::token::Id;
use domain::verify::Reason;
use hsm::{Factor, Match, MatchKey, Matched};
use oath::Code;

use super::super::guess::{clear_failures, count_failure};
use super::super::verify::Verdict;
use super::super::{Caller, FlowError, handle, ocra, phones, push};
use super::{Names, Whose, is_of_enrolment, named, own, serial};
use crate::appliance::Appliance;
use crate::store::challenge::{self, ChallengeRow};
use crate::store::event;
use crate::store::user::UserRow;

/// Highest level of assurance of an accepted code that was sent by SMS: else that of the number.
const SMS_LOA: f64 = 2.0;
const FAILED: Names = ["sms.failed", "ocra.failed", "push.failed", "recovery.failed"];

/// As [`verify`] of a sent code, for a caller who lets in whom it names: another challenge is rejected unseen.
///
/// # Errors
/// As [`verify`].
pub fn verify_of(
    app: &Appliance,
    caller: &Caller,
    id: &Id,
    whose: &Whose,
    otp: &str,
) -> Result<Verdict, FlowError> {
    let said = app.store.read(|c| whose.find(c))?.map(|person| person.id);
    match own(app, caller, id)? {
        Some((row, _)) if said == Some(row.user_id) && matches!(row.wanted, Wanted::SentCode { .. }) => {
            verify(app, caller, id, otp)
        }
        _ => refuse(app, caller, None, otp, Reason::NoToken),
    }
}

/// Verifies the code that was sent, or the answer to the question. One challenge accepts one code, once.
///
/// # Errors
/// [`FlowError`] when the HSM or the store cannot answer: nothing was accepted and nothing counted.
pub fn verify(app: &Appliance, caller: &Caller, id: &Id, otp: &str) -> Result<Verdict, FlowError> {
    let Some((found, _)) = own(app, caller, id)? else {
        return refuse(app, caller, None, otp, Reason::NoToken);
    };
    let _order = app.lock_user(&found.user_id)?;
    let Some((row, owner)) = own(app, caller, id)? else {
        return refuse(app, caller, None, otp, Reason::NoToken);
    };
    let now = app.clock.now();
    let about = Some((&row, &owner));
    if is_of_enrolment(&row) {
        return refuse(app, caller, about, otp, Reason::Wrong);
    }
    match &row.wanted {
        Wanted::Push { .. } => return push::answer::fetch(app, caller, (&row, &owner), otp),
        Wanted::Recovery { set } => return push::recovery::verify(app, caller, (&row, &owner), set, otp),
        Wanted::SentCode { .. } | Wanted::SentLink { .. } | Wanted::Response { .. } => {}
    }
    if Code::parse(otp).is_err() {
        return refuse(app, caller, about, otp, Reason::Malformed);
    }
    let progress = row.progress.aged(&now);
    if progress.state == State::Verified {
        return refuse(app, caller, about, otp, Reason::Replay);
    }
    if progress.state != State::Waiting {
        return refuse(app, caller, about, otp, Reason::Wrong);
    }
    if owner.state != "active" {
        return refuse(app, caller, about, otp, Reason::Locked);
    }
    if let Err(reason) = app.admit(caller, &owner, &now)? {
        return refuse(app, caller, about, otp, reason);
    }
    match &row.wanted {
        Wanted::SentLink { .. } | Wanted::Push { .. } | Wanted::Recovery { .. } => {
            refuse(app, caller, about, otp, Reason::Wrong)
        }
        Wanted::SentCode { digits, .. } => match_sent(app, caller, &row, &owner, *digits, otp, &now),
        Wanted::Response { token, question } => {
            ocra::judge(app, caller, (&row, &owner), (token, question), otp, &now)
        }
    }
}

/// Refuses without evaluating: the decoy's match, then the event.
pub(in crate::flows) fn refuse(
    app: &Appliance,
    caller: &Caller,
    about: Option<(&ChallengeRow, &UserRow)>,
    otp: &str,
    reason: Reason,
) -> Result<Verdict, FlowError> {
    app.match_decoy(otp)?;
    let kind = about.map_or("sms.failed", |(row, _)| named(&row.wanted, FAILED));
    let mut event = Event::refused(app.clock.now().wall_ms, kind, caller.actor.clone(), reason.name());
    if let Some((row, owner)) = about {
        event = event.about("user_ref", &owner.user_ref).about("challenge", handle(&row.id));
    }
    app.refuse(event)?;
    Ok(Verdict::Reject)
}

/// What the HSM says of a code that was sent: the state's MAC for each way on.
pub(in crate::flows) struct Answered {
    /// Whether the code is right.
    pub(in crate::flows) right: bool,
    /// MAC of the next progress: verified if it is right, one attempt more if not.
    pub(in crate::flows) next_mac: [u8; 32],
}

/// Lets the HSM compare; nothing is saved.
pub(in crate::flows) fn ask(
    app: &Appliance,
    row: &ChallengeRow,
    digits: u8,
    otp: &str,
) -> Result<Answered, FlowError> {
    let miss = row.progress.missed(&app.terms(row.authenticator.as_deref()));
    let matched = app.hsm.match_codes(vec![Match {
        key: MatchKey::SentCode,
        state: row.bytes(&row.progress),
        state_mac: row.state_mac,
        format: sentcode::sent_format(digits),
        candidate: otp.as_bytes().to_vec(),
        factors: vec![Factor {
            messages: sentcode::sent_messages(&row.id, row.progress.send_number),
            next_state: row.bytes(&row.progress.verified()),
        }],
        refusal: row.bytes(&miss),
    }])?;
    match matched.first() {
        Some(Matched::Hit { next_mac, .. }) => Ok(Answered { right: true, next_mac: *next_mac }),
        Some(Matched::Miss { next_mac }) => Ok(Answered { right: false, next_mac: *next_mac }),
        _ => Err(FlowError::Tampered { what: "the state", which: handle(&row.id) }),
    }
}

fn match_sent(
    app: &Appliance,
    caller: &Caller,
    row: &ChallengeRow,
    owner: &UserRow,
    digits: u8,
    otp: &str,
    now: &Now,
) -> Result<Verdict, FlowError> {
    let (hit, miss) =
        (row.progress.verified(), row.progress.missed(&app.terms(row.authenticator.as_deref())));
    let Answered { right, next_mac } = ask(app, row, digits, otp)?;
    let at = now.wall_ms;
    let subject = |event: Event| event.about("user_ref", &owner.user_ref).about("challenge", handle(&row.id));
    let (limits, application, now, loaded) = (app.config.limits, caller.application, *now, row.clone());
    match right {
        true => {
            let bound = phones::of_user(app, &owner.id)?;
            let verified = subject(app.event("sms.verified", caller));
            let lost = subject(Event::refused(at, "sms.failed", caller.actor.clone(), Reason::Replay.name()));
            let won = app.store.write(move |w| {
                let won = challenge::put_progress(w, &loaded, &hit, &next_mac, at)?;
                if won {
                    clear_failures(w, &loaded.user_id, &application)?;
                }
                event::append(w, if won { &verified } else { &lost })?;
                Ok(won)
            })?;
            let serial = serial(&row.id);
            let loa = bound.map_or(1.0, |bound| bound.loa.min(SMS_LOA));
            Ok(if won { Verdict::Accept { serial, loa } } else { Verdict::Reject })
        }
        false => {
            let failed =
                subject(Event::refused(at, "sms.failed", caller.actor.clone(), Reason::Wrong.name()));
            let locked = subject(app.event("user.locked", caller));
            let exhausted = (miss.state == State::Exhausted)
                .then(|| subject(app.event("sms.attempts_exhausted", caller)));
            app.store.write(move |w| {
                challenge::put_progress(w, &loaded, &miss, &next_mac, at)?;
                event::append(w, &failed)?;
                if count_failure(w, &limits, &loaded.user_id, &application, &now)? {
                    event::append(w, &locked)?;
                }
                exhausted.iter().try_for_each(|event| event::append(w, event).map(drop))
            })?;
            Ok(Verdict::Reject)
        }
    }
}
