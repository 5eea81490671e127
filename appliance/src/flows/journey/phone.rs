//! The registration of a phone as a step: the QR code, the wait for the phone, the recovery codes (COMB-01 to COMB-17,
//! B.5.7).

use domain::canonical::Canonical;
use domain::flow::Purpose;
use domain::journey::{At, Evidence};
use domain::registration::{Codes, Kind, State};
use domain::time::{BootId, Deadline};
use domain::token::Id;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::Scan;
use super::kept::Walk;
use super::oath::INVALID_OTP;
use crate::flows::push::codes::{self, Drawn};
use crate::flows::push::{prove, register};
use crate::flows::{FlowError, handle};
use crate::qr;
use crate::store::StoreError;
use crate::store::registration::RegistrationRow;

/// The user has such a registration (COMB-40).
const EXISTS: &str = "registration.exists";
/// What is there counts for more than what was shown here (D-34).
const TOO_LOW: &str = register::TOO_LOW_KEY;
/// The user has as many tokens as there may be.
const QUOTA: &str = register::QUOTA_KEY;
const REFUSED: &str = "registration.refused";
const FAILED: &str = "registration.failed";
const SUPERSEDED: &str = "registration.superseded";
const TIMED_OUT: &str = "registration.timed_out";
/// The codes are in another answer.
const READ: &str = "recovery.error.read";
/// After which pause other codes can be shown in place of those that were, in milliseconds.
const AGAIN_AFTER_MS: u64 = 5_000;
/// How often codes are shown in one flow.
const SHOWN_MAX: u8 = 3;

/// A QR code that waits for its phone.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Waiting {
    registration: Id,
    /// The code's text, sealed under the person's key: it holds the secrets.
    uri: Vec<u8>,
    message: Option<String>,
}

/// Recovery codes that were shown in a flow.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) struct CodesShown {
    /// From when on others can be shown in their place: boot id, milliseconds.
    again: ([u8; 16], u64),
    /// How often.
    times: u8,
}

impl CodesShown {
    fn again(self) -> Deadline {
        Deadline { boot: BootId(self.again.0), boot_ms: self.again.1 }
    }
}

fn aad(registration: &Id) -> Vec<u8> {
    Canonical::new("countersign registration page 1").bytes(registration).finish()
}

/// Where a registration stands, for its page.
pub(super) struct Progress {
    pub(super) expires_at_ms: Option<i64>,
    pub(super) decided: bool,
    pub(super) scan: Option<Scan>,
}

impl Walk<'_> {
    /// Makes the secrets and the QR code, or says why not. In a login a phone that is there already is good (COMB-40).
    pub(super) fn begin_mfa(&mut self, kind: Kind, replace: bool) -> Result<(), FlowError> {
        let owner = self.user()?.clone();
        let wish = register::Wish {
            kind,
            replace,
            locale: Some(self.kept.lang.clone()),
            // D-34: a recovery code stands for what was lost, whatever that counted for.
            loa: (!self.kept.journey.evidence.contains(&Evidence::Recovery)).then_some(self.kept.journey.loa),
        };
        let begun = match register::begin(self.app, &self.caller, owner.name.as_str(), &wish) {
            Ok(begun) => begun,
            Err(FlowError::Phone { key: EXISTS, .. }) if self.definition.purpose == Purpose::Login => {
                self.kept.journey.on();
                return Ok(());
            }
            Err(FlowError::Phone { key: EXISTS, .. }) => return self.no_registration(EXISTS),
            Err(FlowError::Phone { key: TOO_LOW, .. }) => return self.no_registration(TOO_LOW),
            Err(FlowError::Phone { key: QUOTA, .. }) => return self.no_registration(QUOTA),
            Err(FlowError::Conflict(_) | FlowError::Phone { .. }) => return self.no_registration(REFUSED),
            Err(error) => return Err(error),
        };
        let registration = begun.row.id;
        self.kept.codes_shown = None;
        let key = owner.person_key.as_deref().ok_or(FlowError::NotFound("user"))?;
        self.kept.phone = Some(Waiting {
            registration,
            uri: self.app.hsm.seal(key, &aad(&registration), begun.uri.as_bytes())?,
            message: begun.message,
        });
        self.kept.journey.registering_phone(kind, replace, registration);
        Ok(())
    }

    /// Makes them anew, when the former ones are over: each is a secret that the HSM draws, and events. Who presses twice,
    /// or again and again, is shown those that wait; a phone that has answered counts.
    pub(super) fn begin_mfa_again(&mut self, kind: Kind, replace: bool, id: &Id) -> Result<(), FlowError> {
        match self.registration(id)?.registration.state {
            State::Created | State::Waiting | State::Storing => Ok(()),
            State::Registered | State::Verified => self.take_registration(id),
            State::TimedOut | State::Cancelled | State::Failed => self.begin_mfa(kind, replace),
        }
    }

    fn no_registration(&mut self, key: &str) -> Result<(), FlowError> {
        self.kept.journey.fail(key);
        Ok(())
    }

    fn registration(&self, id: &Id) -> Result<RegistrationRow, FlowError> {
        Ok(register::find(self.app, &self.caller, self.user()?.name.as_str(), id)?.0)
    }

    /// Sees what has become of the registration.
    pub(super) fn take_registration(&mut self, id: &Id) -> Result<(), FlowError> {
        let row = self.registration(id)?;
        match row.registration.state {
            State::Registered | State::Verified => {
                self.kept.phone = None;
                self.kept.journey.phone_registered(*id, row.registration.codes == Codes::Unread);
            }
            State::TimedOut => self.no_phone(TIMED_OUT),
            State::Cancelled => self.no_phone(SUPERSEDED),
            State::Failed => self.no_phone(FAILED),
            State::Created | State::Waiting | State::Storing => {}
        }
        Ok(())
    }

    /// The registration is over: the secrets of its code are kept no longer here either.
    fn no_phone(&mut self, key: &str) {
        self.kept.phone = None;
        self.wrong(key);
    }

    /// Takes the first code of a registration for codes alone.
    pub(super) fn take_first_code(&mut self, id: &Id, otp: &str) -> Result<(), FlowError> {
        let name = self.user()?.name.clone();
        match prove::by_code(self.app, &self.caller, name.as_str(), id, otp.trim()) {
            Ok(true) => self.take_registration(id),
            Ok(false) => {
                self.wrong(INVALID_OTP);
                Ok(())
            }
            Err(FlowError::Conflict(_)) => self.take_registration(id),
            Err(error) => Err(error),
        }
    }

    /// Hands the recovery codes out: none is kept here. Whoever asks again did not get to see them, and is given new ones
    /// in their place: not at once, or the codes of a button that was pressed twice would be those of the other answer.
    pub(super) fn reveal_codes(&mut self, id: &Id) -> Result<(), FlowError> {
        let shown = self.kept.codes_shown;
        let may = shown.is_none_or(|shown| shown.times < SHOWN_MAX && shown.again().passed(&self.now));
        let (row, owner) = (self.registration(id)?, self.user()?.clone());
        let drawn = match may {
            true => codes::drawn(self.app, &self.caller, &row, &owner, shown.is_some())?,
            false => None,
        };
        let Some(Drawn { codes, saving, order }) = drawn else {
            self.wrong(READ);
            return Ok(());
        };
        let again = self.now.deadline_in(AGAIN_AFTER_MS);
        let times = shown.map_or(0, |shown| shown.times) + 1;
        self.kept.codes_shown = Some(CodesShown { again: (again.boot.0, again.boot_ms), times });
        self.save(move |w| match saving.write(w) {
            Err(StoreError::Changed(_)) => Ok(false),
            written => written.map(|()| true),
        })?;
        drop(order);
        self.codes = Some(codes);
        Ok(())
    }

    /// What is shown to whoever asked for the codes at the same time as the answer that has them.
    pub(super) fn codes_are_elsewhere(&mut self) {
        if matches!(self.kept.journey.at, At::RecoveryCodes { .. }) {
            self.wrong(READ);
        }
    }

    /// Whether the codes of a registration can be shown: for the first time, and again.
    pub(super) fn can_show_codes(&self, id: &Id) -> Result<(bool, bool), FlowError> {
        let unread = self.registration(id)?.registration.codes == Codes::Unread;
        let again = self.kept.codes_shown.is_some_and(|shown| shown.times < SHOWN_MAX);
        Ok((unread, !unread && again))
    }

    /// The user ends the flow: what waits for a phone is taken back.
    pub(super) fn abandon(&mut self) -> Result<(), FlowError> {
        let At::MfaRegister { registration, .. } = self.kept.journey.at else { return Ok(()) };
        self.kept.phone = None;
        match register::cancel(self.app, &self.caller, self.user()?.name.as_str(), &registration) {
            // It has ended meanwhile.
            Ok(_) | Err(FlowError::Conflict(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// What the page of a registration shows.
    pub(super) fn registering(&self, kind: Kind, id: &Id) -> Result<Progress, FlowError> {
        let row = self.registration(id)?;
        let open = matches!(row.registration.state, State::Created | State::Waiting | State::Storing);
        let expires_at_ms = row.registration.until.wall_ms(&self.now).filter(|_| open);
        let waiting = self.kept.phone.as_ref().filter(|waiting| open && waiting.registration == *id);
        let Some(waiting) = waiting else {
            return Ok(Progress { expires_at_ms, decided: !open, scan: None });
        };
        let owner = self.user()?;
        let key = owner.person_key.as_deref().ok_or(FlowError::NotFound("user"))?;
        let uri = self.app.hsm.open(key, &aad(id), &waiting.uri)?;
        let changed = || FlowError::Tampered { what: "the registration", which: handle(id) };
        let uri = Zeroizing::new(std::str::from_utf8(&uri).map_err(|_| changed())?.to_owned());
        let code = qr::encode(&uri);
        let code = code.ok_or_else(|| FlowError::Invalid("the QR code would be too large".to_owned()))?;
        let qr_svg = Zeroizing::new(qr::svg(&code));
        let scan = Scan { kind, uri, qr_svg, message: waiting.message.clone() };
        Ok(Progress { expires_at_ms, decided: false, scan: Some(scan) })
    }
}
