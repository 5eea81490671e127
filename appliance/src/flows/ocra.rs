//! Challenge and response with a token (RFC 6287, one-way): a question from the HSM's RNG, for one token, answered
//! once. The response is computed and compared in the HSM, like every code.
//!
//! An answer moves two rows, the challenge and the token, each under its own MAC: the HSM is asked about both in one
//! batch, and both are written in one act.

use domain::challenge::{Progress, QUESTION_BLOCKS_MAX, State, Wanted, question_of};
use domain::event::Event;
use domain::names::{Serial, UserName};
use domain::time::Now;
use domain::token::{Id, Lifecycle, MovingState};
use domain::verify::{Plan, Reason, plan_answer};
use hsm::{Factor, MacPurpose, Match, Matched};
use oath::ocra::{Question, QuestionLen, Suite};

use super::challenge::{View, refuse, supersede, superseding};
use super::guess::{clear_failures, count_failure};
use super::question::{self, Try};
use super::verify::Verdict;
use super::{Caller, FlowError, handle, users};
use crate::appliance::Appliance;
use crate::store::challenge::{self, ChallengeRow};
use crate::store::token::{self, TokenRow};
use crate::store::user::{self, UserRow};
use crate::store::{StoreError, event};

/// Bytes of one block that a question is drawn from.
const BLOCK: usize = 8;

/// Asks a user's token: the one that is named, or else the first that is active and not locked.
///
/// # Errors
/// [`FlowError::NotFound`] alike for an unknown user and for one without such a token; [`FlowError::RateLimited`]
/// when the limiter or the token's lock refuses; when the HSM or the store cannot answer.
pub fn order(app: &Appliance, caller: &Caller, name: &str, serial: Option<&str>) -> Result<View, FlowError> {
    let found = match UserName::parse(name) {
        Ok(name) => app.store.read(|c| user::by_name(c, &name))?,
        Err(_) => None,
    };
    let Some(found) = users::checked(app, name, found)? else {
        let _order = app.lock_name(name)?;
        return Err(unasked(app, caller)?);
    };
    let _order = app.lock_user(&found.id)?;
    let Some((owner, tokens)) = askable(app, &found.id, serial)? else {
        return Err(unasked(app, caller)?);
    };
    let now = app.clock.now();
    let open = tokens.into_iter().find(|token| !token.state.is_locked(&now));
    let token = match (app.admit(caller, &owner, &now)?, open) {
        (Ok(()), Some(token)) => token,
        (admitted, _) => {
            app.match_decoy("")?;
            let reason = admitted.err().unwrap_or(Reason::Locked);
            let event =
                Event::refused(now.wall_ms, "ocra.challenge_refused", caller.actor.clone(), reason.name());
            app.refuse(event.about("user_ref", &owner.user_ref))?;
            return Err(FlowError::RateLimited);
        }
    };
    ask(app, caller, &owner, &token, &now)
}

/// The user and the tokens that may be asked, locked ones included; none if there is none.
fn askable(
    app: &Appliance,
    user: &Id,
    serial: Option<&str>,
) -> Result<Option<(UserRow, Vec<TokenRow>)>, FlowError> {
    let (owner, mut tokens) = app.store.read(|c| Ok((user::by_id(c, user)?, token::of_user(c, user)?)))?;
    let named = serial.map(Serial::parse);
    tokens.retain(|token| {
        let fits = named.as_ref().is_none_or(|named| named.as_ref() == Ok(&token.serial));
        fits && token.policy.suite().is_some() && answers(token, user)
    });
    Ok(owner.filter(|owner| owner.state == "active" && !tokens.is_empty()).map(|owner| (owner, tokens)))
}

fn answers(token: &TokenRow, user: &Id) -> bool {
    token.state.lifecycle == Lifecycle::Active && token.record.is_some() && token.user_id == Some(*user)
}

/// Does what a refusal costs, and gives it.
fn unasked(app: &Appliance, caller: &Caller) -> Result<FlowError, FlowError> {
    app.match_decoy("")?;
    let now_ms = app.clock.now().wall_ms;
    app.refuse(Event::refused(now_ms, "ocra.no_user_or_token", caller.actor.clone(), "no_user_or_token"))?;
    Ok(FlowError::NotFound("user with an active token that answers questions"))
}

fn ask(
    app: &Appliance,
    caller: &Caller,
    owner: &UserRow,
    token: &TokenRow,
    now: &Now,
) -> Result<View, FlowError> {
    let suite = token.policy.suite().ok_or(FlowError::NotFound("token that answers questions"))?;
    let question = draw(app, suite.question)?;
    let mut row = ChallengeRow {
        id: app.random()?,
        user_id: owner.id,
        application_id: caller.application,
        purpose: "login".to_owned(),
        authenticator: None,
        binding_message: None,
        wanted: Wanted::Response { token: token.id, question },
        progress: Progress::asked(&app.config.questions, now),
        state_mac: [0; 32],
        created_at: now.wall_ms,
    };
    let macs = app.hsm.mac(MacPurpose::State, vec![row.bytes(&row.progress)])?;
    row.state_mac = *macs.first().ok_or(hsm::HsmError::Protocol)?;
    let superseding = superseding(app, &owner.id, Some(&caller.application))?;
    let event = app
        .event("ocra.challenge_ordered", caller)
        .about("user_ref", &owner.user_ref)
        .about("token", token.serial.as_str())
        .about("challenge", handle(&row.id));
    let (inserted, at) = (row.clone(), now.wall_ms);
    app.store.write(move |w| {
        supersede(w, &superseding, at)?;
        challenge::insert(w, &inserted)?;
        event::append(w, &event).map(drop)
    })?;
    let expires_at_ms = row.progress.expires.and_then(|end| end.wall_ms(now));
    Ok(View { row, phone_masked: None, expires_at_ms })
}

/// A question from the HSM's RNG.
fn draw(app: &Appliance, len: QuestionLen) -> Result<Question, FlowError> {
    let random: [u8; BLOCK * QUESTION_BLOCKS_MAX] = app.random()?;
    let (blocks, _) = random.as_chunks::<BLOCK>();
    let question = blocks.iter().find_map(|block| question_of(u64::from_be_bytes(*block), len));
    Ok(question.ok_or(hsm::HsmError::Protocol)?)
}

/// An answer with all that was loaded for it.
struct Answer<'a> {
    app: &'a Appliance,
    caller: &'a Caller,
    row: &'a ChallengeRow,
    owner: &'a UserRow,
    token: TokenRow,
    now: &'a Now,
}

/// Judges the answer to an open challenge's question. The caller holds the user's lock and has asked the limiter.
pub(super) fn judge(
    app: &Appliance,
    caller: &Caller,
    (row, owner): (&ChallengeRow, &UserRow),
    (token, question): (&Id, &Question),
    otp: &str,
    now: &Now,
) -> Result<Verdict, FlowError> {
    let about = Some((row, owner));
    let found = app.store.read(|c| token::by_id(c, token))?;
    let Some(token) = found.filter(|token| answers(token, &row.user_id)) else {
        return refuse(app, caller, about, otp, Reason::Revoked);
    };
    // The question is as long as the policy says, or one of the two rows was changed.
    let Some(suite) = token.policy.suite().filter(|suite| suite.question == question.len()) else {
        return Err(FlowError::Tampered { what: "the question", which: handle(&row.id) });
    };
    if token.state.is_locked(now) {
        return refuse(app, caller, about, otp, Reason::Locked);
    }
    Answer { app, caller, row, owner, token, now }.evaluate(&suite, question, otp)
}

impl Answer<'_> {
    fn evaluate(&self, suite: &Suite, question: &Question, otp: &str) -> Result<Verdict, FlowError> {
        let (app, row) = (self.app, self.row);
        let plan = plan_answer(&self.token.state, &app.config.limits, self.now);
        let (hit, miss) = (row.progress.verified(), row.progress.missed(&app.config.questions));
        let message = suite.input(question, 0).parts().concat();
        let tries = plan.candidates.iter().map(|c| Try { message: message.clone(), next: c.next });
        let width = app.config.window.factors();
        let of_token = question::question(&self.token, otp, tries, &plan.refusal, width);
        let of_challenge = Match {
            state: row.bytes(&row.progress),
            state_mac: row.state_mac,
            factors: vec![Factor { messages: vec![message], next_state: row.bytes(&hit) }],
            refusal: row.bytes(&miss),
            ..of_token.clone()
        };
        let matched = app.hsm.match_codes(vec![of_token, of_challenge])?;
        match (matched.as_slice(), plan.candidates.first()) {
            ([Matched::Tampered { what }, _], _) => Err(question::tampered(app, &self.token, *what)),
            ([_, Matched::Tampered { .. }], _) => {
                Err(FlowError::Tampered { what: "the state", which: handle(&row.id) })
            }
            (
                [Matched::Hit { factor: 0, next_mac: token_mac }, Matched::Hit { next_mac, .. }],
                Some(answered),
            ) => self.accept((&hit, next_mac), (&answered.next, token_mac)),
            // A factor that only fills up the question leads where a wrong code leads.
            (
                [
                    Matched::Miss { next_mac: token_mac } | Matched::Hit { next_mac: token_mac, .. },
                    Matched::Miss { next_mac },
                ],
                _,
            ) => self.reject((&miss, next_mac), &plan, token_mac),
            _ => Err(hsm::HsmError::Protocol.into()),
        }
    }

    fn subject(&self, event: Event) -> Event {
        event
            .about("user_ref", &self.owner.user_ref)
            .about("token", self.token.serial.as_str())
            .about("challenge", handle(&self.row.id))
    }

    fn failed(&self, reason: Reason) -> Event {
        let actor = self.caller.actor.clone();
        self.subject(Event::refused(self.now.wall_ms, "ocra.failed", actor, reason.name()))
    }

    fn accept(
        &self,
        (hit, mac): (&Progress, &[u8; 32]),
        (next, token_mac): (&MovingState, &[u8; 32]),
    ) -> Result<Verdict, FlowError> {
        let verified = self.subject(self.app.event("ocra.verified", self.caller));
        let lost = self.failed(Reason::Replay);
        let accepted = Verdict::Accept { serial: self.token.serial.to_string(), loa: self.token.loa };
        let (row, token, application, at) =
            (self.row.clone(), self.token.clone(), self.caller.application, self.now.wall_ms);
        let (hit, mac, next, token_mac) = (*hit, *mac, *next, *token_mac);
        let won = self.app.store.write(move |w| {
            let won = challenge::put_answered(w, &row, &hit, &mac, at, &token)?;
            if won {
                // The condition above was this one's too, in the same transaction.
                if !token::consume(w, &token, &next, &token_mac)? {
                    return Err(StoreError::Unavailable("the token moved within an act".to_owned()));
                }
                clear_failures(w, &row.user_id, &application)?;
            }
            event::append(w, if won { &verified } else { &lost })?;
            Ok(won)
        })?;
        Ok(if won { accepted } else { Verdict::Reject })
    }

    fn reject(
        &self,
        (miss, mac): (&Progress, &[u8; 32]),
        plan: &Plan,
        token_mac: &[u8; 32],
    ) -> Result<Verdict, FlowError> {
        let failed = self.failed(Reason::Wrong);
        let user_locked = self.subject(self.app.event("user.locked", self.caller));
        let ends = [
            (miss.state == State::Exhausted, "ocra.attempts_exhausted"),
            (plan.refusal.is_locked(self.now), "oath.locked"),
        ];
        let ends: Vec<Event> = ends
            .into_iter()
            .filter(|(ended, _)| *ended)
            .map(|(_, kind)| self.subject(self.app.event(kind, self.caller)))
            .collect();
        let (row, token, application, now) =
            (self.row.clone(), self.token.clone(), self.caller.application, *self.now);
        let (miss, mac, refusal, token_mac) = (*miss, *mac, plan.refusal, *token_mac);
        let limits = self.app.config.limits;
        self.app.store.write(move |w| {
            challenge::put_progress(w, &row, &miss, &mac, now.wall_ms)?;
            token::put_state(w, &token, &refusal, &token_mac)?;
            event::append(w, &failed)?;
            if count_failure(w, &limits, &row.user_id, &application, &now)? {
                event::append(w, &user_locked)?;
            }
            ends.iter().try_for_each(|event| event::append(w, event).map(drop))
        })?;
        Ok(Verdict::Reject)
    }
}
