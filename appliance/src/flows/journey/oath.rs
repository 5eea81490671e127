//! Codes of OATH tokens as a step, and the enrolment of an authenticator app (OATH-24 to OATH-42).
//!
//! A new secret lives in the sealed flow until its first code was seen: whoever gives up leaves nothing behind.

use domain::event::Event;
use domain::journey::Evidence;
use domain::token::{Class, Factor, Id, Lifecycle, MovingState, Policy};
use domain::verify::{self, Meaning};
use hsm::Matched;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::Shown;
use super::kept::Walk;

use super::sms::LIMITED;
use crate::flows::push::CodesEnd;
use crate::flows::question::{Try, question};
use crate::flows::tokens::{self, NewToken};
use crate::flows::verify::{Attempt, Only, Target, Verdict};
use crate::flows::{FlowError, enrol, letters, oath as accounts, resync, verify as codes};
use crate::store::token::TokenRow;
use crate::store::{event, token};
use crate::{qr, store};
use domain::names::Serial;

pub(super) const INVALID_OTP: &str = "oath.error.invalid_otp";
const NOT_CONSECUTIVE: &str = "oath.error.not-consecutive";
const RESYNCED: &str = "resynced";
const ALREADY_EXISTS: &str = "oath.error.already-exists";
const NOT_REVEALABLE: &str = "oath.error.not-revealable";

/// A token that is not stored yet.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Pending {
    id: Id,
    serial: String,
    record: Vec<u8>,
    record_mac: [u8; 32],
    fingerprint: [u8; 32],
    state_mac: [u8; 32],
    reveal: Vec<u8>,
    created_at: i64,
    /// Last factor and drift, once the first code was seen: for a user who is written later.
    seen: Option<(i64, i32, [u8; 32])>,
}

impl Walk<'_> {
    /// Takes a code of any of the user's tokens (OATH-52).
    pub(super) fn take_oath_code(&mut self, otp: &str) -> Result<(), FlowError> {
        let name = self.user()?.name.to_string();
        let limited = self.is_limited()?;
        match self.judge_oath(Target::User(name), otp)? {
            Verdict::Accept { loa, .. } => self.shown(Evidence::Otp, loa),
            Verdict::Reject => self.wrong(if limited { LIMITED } else { INVALID_OTP }),
        }
        Ok(())
    }

    /// Takes two consecutive codes of any of the user's tokens (RFC 4226 section 7.4). They show nothing: they are used
    /// up by finding the token again.
    pub(super) fn take_consecutive(&mut self, otp: &str, next: &str) -> Result<(), FlowError> {
        let owner = self.user()?.clone();
        match resync::of_user(self.app, &self.caller, &owner, [otp.trim(), next.trim()]) {
            Ok(Some(_)) => {
                self.kept.notice = Some(RESYNCED.to_owned());
                self.kept.journey.on();
                Ok(())
            }
            Ok(None) => {
                self.wrong(NOT_CONSECUTIVE);
                Ok(())
            }
            Err(FlowError::RateLimited) => {
                self.wrong(LIMITED);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn judge_oath(&self, target: Target, otp: &str) -> Result<Verdict, FlowError> {
        let attempt = Attempt { target, only: Only::default(), otp: otp.trim().to_owned(), request_id: None };
        codes::run(self.app, &self.caller, &attempt)
    }

    /// What a new app gets by the configuration (OATH-18).
    fn new_policy(&self) -> Result<Policy, FlowError> {
        accounts::policy(self.app)
    }

    /// Makes a secret, or finds the existing one (D-24).
    pub(super) fn begin_activation(&mut self, overwrite: bool) -> Result<(), FlowError> {
        let owner = self.user()?.clone();
        let living: Vec<TokenRow> = self
            .app
            .store
            .read(|c| token::of_user(c, &owner.id))?
            .into_iter()
            .filter(|row| row.class == Class::Soft && row.state.lifecycle == Lifecycle::Active)
            .collect();
        match living.first() {
            Some(existing) if !overwrite => match existing.policy.factor {
                Factor::Totp { .. } if existing.reveal.is_some() => {
                    let (id, serial) = (existing.id, existing.serial.to_string());
                    let viewed = self
                        .app
                        .event("oath.secret_viewed", &self.caller)
                        .about("user_ref", &owner.user_ref)
                        .about("token", serial);
                    self.app.store.write(move |w| event::append(w, &viewed).map(drop))?;
                    self.kept.journey.activating(id, true);
                }
                Factor::Totp { .. } => self.kept.journey.fail(NOT_REVEALABLE),
                // A counter cannot be shared by two apps (OATH-35).
                Factor::Hotp | Factor::Ocra { .. } => self.kept.journey.fail(ALREADY_EXISTS),
            },
            _ => {
                self.enrol_pending(&owner)?;
                if self.app.config.people.oath.replace_immediately {
                    self.suspend(&living)?;
                }
            }
        }
        Ok(())
    }

    /// A phone that was lost works no longer from the moment that its user begins to replace it (D-25).
    fn suspend(&self, living: &[TokenRow]) -> Result<(), FlowError> {
        for row in living {
            let lifecycle =
                row.state.lifecycle.suspend().map_err(|error| FlowError::Conflict(error.to_string()))?;
            let next = MovingState { lifecycle, ..row.state.next() };
            let mac = tokens::next_mac(self.app, row, &next)?;
            let suspended = self
                .app
                .event("token.suspended", &self.caller)
                .about("user_ref", &self.user()?.user_ref)
                .about("token", row.serial.as_str());
            let loaded = row.clone();
            self.app.store.write(move |w| {
                if token::put_state(w, &loaded, &next, &mac)? {
                    event::append(w, &suspended)?;
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    fn enrol_pending(&mut self, owner: &store::user::UserRow) -> Result<(), FlowError> {
        let new = NewToken {
            user: owner.name.clone(),
            policy: self.new_policy()?,
            counter: 0,
            secret: None,
            issuer: None,
        };
        let made = tokens::make(self.app, owner, &new)?;
        let id = made.row.id;
        self.kept.pending = Some(Pending {
            id,
            serial: made.row.serial.to_string(),
            record: made.row.record.clone().unwrap_or_default(),
            record_mac: made.row.record_mac,
            fingerprint: made.row.fingerprint,
            state_mac: made.row.state_mac,
            reveal: made.row.reveal.clone().unwrap_or_default(),
            created_at: made.row.created_at,
            seen: None,
        });
        self.kept.journey.activating(id, false);
        Ok(())
    }

    /// The row that a pending token would be.
    fn pending_row(&self) -> Result<TokenRow, FlowError> {
        let gone = || FlowError::NotFound("token");
        let pending = self.kept.pending.as_ref().ok_or_else(gone)?;
        let owner = self.user()?;
        Ok(TokenRow {
            id: pending.id,
            serial: Serial::parse(&pending.serial).map_err(|_| gone())?,
            user_id: Some(owner.id),
            class: Class::Soft,
            label: String::new(),
            policy: self.new_policy()?,
            record: Some(pending.record.clone()),
            record_mac: pending.record_mac,
            reveal: Some(pending.reveal.clone()),
            fingerprint: pending.fingerprint,
            state: tokens::FIRST_STATE,
            state_mac: pending.state_mac,
            loa: tokens::SOFT_LOA,
            created_at: pending.created_at,
        })
    }

    /// The row of a pending token whose first code was seen.
    pub(super) fn confirmed_row(&self) -> Result<TokenRow, FlowError> {
        let row = self.pending_row()?;
        let seen = self.kept.pending.as_ref().and_then(|pending| pending.seen);
        let (last, drift, state_mac) = seen.ok_or(FlowError::NotFound("token"))?;
        let keep = self.app.config.people.oath.reveal_after_activation;
        let state = MovingState { last, drift, ..row.state.next() };
        Ok(TokenRow { state, state_mac, reveal: row.reveal.clone().filter(|_| keep), ..row })
    }

    /// The secret that the activation page shows.
    pub(super) fn shown_secret(&self, id: &Id, existing: bool) -> Result<Option<Shown>, FlowError> {
        let row = if existing {
            let rows = self.app.store.read(|c| token::of_user(c, &self.user_id()))?;
            rows.into_iter().find(|row| row.id == *id).ok_or(FlowError::NotFound("token"))?
        } else {
            self.pending_row()?
        };
        let owner = self.user()?;
        let secret = tokens::reveal(self.app, owner, &row)?;
        let base32 = Zeroizing::new(data_encoding::BASE32_NOPAD.encode(&secret));
        let grouped: Vec<&str> =
            base32.as_bytes().chunks(4).map(|chunk| std::str::from_utf8(chunk).unwrap_or_default()).collect();
        let uri = accounts::uri(self.app, owner, &row, secret);
        let code = qr::encode(&uri);
        let code = code.ok_or_else(|| FlowError::Invalid("the QR code would be too large".to_owned()))?;
        let qr_svg = qr::svg(&code);
        Ok(Some(Shown {
            uri,
            qr_svg: Zeroizing::new(qr_svg),
            base32: Zeroizing::new(grouped.join(" ")),
            existing,
        }))
    }

    /// Whether an app shows by a first code that it has the secret (OATH-53).
    pub(super) fn confirms(&self) -> bool {
        self.app.config.people.oath.confirm_on_activation
    }

    /// Activates a token whose first code nobody asks for.
    pub(super) fn activate_unseen(&mut self, id: Id, existing: bool) -> Result<(), FlowError> {
        if existing {
            self.kept.journey.activation_done(id);
            return Ok(());
        }
        let owner = self.user()?.clone();
        let row = self.pending_row()?;
        if self.kept.journey.newcomer {
            if let Some(pending) = &mut self.kept.pending {
                pending.seen = Some((row.state.last, row.state.drift, row.state_mac));
            }
            self.kept.journey.activation_done(row.id);
            return Ok(());
        }
        let _order = self.app.lock_user(&owner.id)?;
        self.activate(&owner, row)
    }

    /// Takes the app's first code (OATH-53).
    pub(super) fn take_activation_code(
        &mut self,
        id: Id,
        existing: bool,
        otp: &str,
    ) -> Result<(), FlowError> {
        if existing {
            let rows = self.app.store.read(|c| token::of_user(c, &self.user_id()))?;
            let row = rows.into_iter().find(|row| row.id == id).ok_or(FlowError::NotFound("token"))?;
            match self.judge_oath(Target::Token(row.serial.to_string()), otp)? {
                Verdict::Accept { .. } => self.kept.journey.activation_done(id),
                Verdict::Reject => self.wrong(INVALID_OTP),
            }
            return Ok(());
        }
        let owner = self.user()?.clone();
        let _order = self.app.lock_user(&owner.id)?;
        let row = self.pending_row()?;
        let config = &self.app.config;
        if oath::Code::parse(otp.trim()).is_err() || self.app.admit(&self.caller, &owner, &self.now)?.is_err()
        {
            self.wrong(INVALID_OTP);
            return Ok(());
        }
        let plan = verify::plan(&row.policy, &row.state, &config.window, &config.limits, false, &self.now);
        let tries = plan.candidates.iter().map(Try::from);
        let question = question(&row, otp.trim(), tries, &plan.refusal, config.window.factors());
        let matched = self.app.hsm.match_codes(vec![question])?;
        let hit = match matched.first() {
            Some(Matched::Hit { factor, next_mac }) => plan
                .candidates
                .get(*factor)
                .filter(|candidate| candidate.meaning == Meaning::Fresh)
                .map(|candidate| (candidate.next, *next_mac)),
            Some(Matched::Miss { .. }) => None,
            _ => {
                let which = row.serial.to_string();
                return Err(FlowError::Tampered { what: "the record", which });
            }
        };
        match hit {
            Some((state, state_mac)) if self.kept.journey.newcomer => {
                if let Some(pending) = &mut self.kept.pending {
                    pending.seen = Some((state.last, state.drift, state_mac));
                }
                self.kept.journey.activation_done(row.id);
                Ok(())
            }
            Some((state, state_mac)) => self.activate(&owner, TokenRow { state, state_mac, ..row }),
            None if self.kept.journey.newcomer => {
                self.wrong(INVALID_OTP);
                Ok(())
            }
            None => self.miss_activation(&owner),
        }
    }

    fn user_id(&self) -> Id {
        self.owner.as_ref().map_or([0; 16], |owner| owner.id)
    }

    fn miss_activation(&mut self, owner: &store::user::UserRow) -> Result<(), FlowError> {
        let failed = Event::refused(self.now.wall_ms, "oath.failed", self.caller.actor.clone(), "wrong")
            .about("user_ref", &owner.user_ref);
        let (limits, application, now, id) =
            (self.app.config.limits, self.caller.application, self.now, owner.id);
        self.wrong(INVALID_OTP);
        self.save(move |w| {
            crate::flows::guess::count_failure(w, &limits, &id, &application, &now)?;
            event::append(w, &failed).map(|_| true)
        })
    }

    /// The new token becomes active and the former ones end, in one transaction (B.5.5).
    fn activate(&mut self, owner: &store::user::UserRow, row: TokenRow) -> Result<(), FlowError> {
        let former: Vec<TokenRow> = self
            .app
            .store
            .read(|c| token::of_user(c, &owner.id))?
            .into_iter()
            // What an enrolment holds is not there yet, and comes to no end by this (D-50).
            .filter(|row| {
                let ended = [Lifecycle::Revoked, Lifecycle::Pending].contains(&row.state.lifecycle);
                row.class == Class::Soft && !ended
            })
            .collect();
        let letter = letters::of_ended(self.app, &self.caller, owner, &former)?;
        let items: Vec<Id> = former.iter().map(|row| row.id).collect();
        let bound = enrol::replaced(self.app, &self.caller, &items, enrol::Why::of(&self.caller))?;
        let mut ending = Vec::new();
        for former in former {
            let lifecycle =
                former.state.lifecycle.revoke().map_err(|error| FlowError::Conflict(error.to_string()))?;
            let next = MovingState { lifecycle, ..former.state.next() };
            let mac = tokens::next_mac(self.app, &former, &next)?;
            ending.push((former, next, mac));
        }
        let codes =
            if ending.is_empty() { CodesEnd::none() } else { CodesEnd::of(self.app, &self.caller, owner)? };
        let added = self
            .app
            .event("oath.secret_added", &self.caller)
            .about("user_ref", &owner.user_ref)
            .about("token", row.serial.as_str())
            .about("replaced", if ending.is_empty() { "false" } else { "true" });
        self.kept.pending = None;
        self.kept.journey.activation_done(row.id);
        let (keep, at) = (self.app.config.people.oath.reveal_after_activation, self.now.wall_ms);
        let row = TokenRow { reveal: row.reveal.filter(|_| keep), ..row };
        self.save(move |w| {
            for (former, next, mac) in &ending {
                if !token::put_state(w, former, next, mac)? {
                    return Ok(false);
                }
            }
            bound.write(w)?;
            codes.write(w)?;
            letters::end(w, letter.as_ref(), at)?;
            token::insert(w, &row)?;
            event::append(w, &added).map(|_| true)
        })
    }
}
