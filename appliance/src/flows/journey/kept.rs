//! A flow as it is kept between two answers: sealed, bound to its handle and its application.

use domain::canonical::Canonical;
use domain::flow::{Definition, Purpose};
use domain::journey::{At, Journey};
use domain::time::{BootId, Deadline, Now};
use domain::token::Id;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{BrowserKey, Door, FLOW_LIFE_MS};
use crate::appliance::Appliance;
use crate::flows::{Caller, FlowError, phones, push, users};
use crate::store::flow::FlowRow;
use crate::store::user::UserRow;
use crate::store::{Writing, application, flow, token, user};
use domain::event::Actor;
use domain::method::Facts;
use domain::token::{Class, Lifecycle};

/// What is sealed.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) journey: Journey,
    /// SHA-256 of the browser's key, once a browser has opened it.
    pub(super) browser: Option<[u8; 32]>,
    /// End of its life: boot id, milliseconds.
    pub(super) until: ([u8; 16], u64),
    /// Latest end, however often it is used.
    pub(super) at_most: u64,
    pub(super) lang: String,
    pub(super) return_url: Option<String>,
    pub(super) return_state: Option<String>,
    /// Where the browser goes with the one-time code, once the flow has ended well.
    pub(super) redirect: Option<String>,
    /// Key of a notice for the next screen.
    pub(super) notice: Option<String>,
    /// Whether it began in the session of a logged-in browser, and carries that on.
    pub(super) session: bool,
    /// SHA-256 of the one-time code of the result, until it was fetched: the column beside it only finds the flow.
    pub(super) code_hash: Option<[u8; 32]>,
    /// Whether the result was fetched.
    pub(super) claimed: bool,
    /// A token whose first code has not been seen.
    pub(super) pending: Option<super::oath::Pending>,
    /// A new user, until the last step.
    pub(super) newcomer: Option<super::newcomer::Newcomer>,
    /// A QR code that waits for its phone.
    pub(super) phone: Option<super::phone::Waiting>,
    /// Recovery codes that were shown here.
    pub(super) codes_shown: Option<super::phone::CodesShown>,
}

impl Kept {
    pub(super) fn new(definition: &Definition, lang: String, now: &Now) -> Self {
        let end = now.deadline_in(FLOW_LIFE_MS);
        Kept {
            journey: Journey::start(definition),
            browser: None,
            until: (end.boot.0, end.boot_ms),
            at_most: end.boot_ms,
            lang,
            return_url: None,
            return_state: None,
            redirect: None,
            notice: None,
            session: false,
            code_hash: None,
            claimed: false,
            pending: None,
            newcomer: None,
            phone: None,
            codes_shown: None,
        }
    }

    /// The end of its life.
    pub(super) fn expires(&self) -> Deadline {
        Deadline { boot: BootId(self.until.0), boot_ms: self.until.1 }
    }

    /// Binds it to a browser, once.
    pub(super) fn bind(&mut self, key: &BrowserKey) -> bool {
        let free = self.browser.is_none();
        if free {
            self.browser = Some(Sha256::digest(key.0).into());
        }
        free
    }

    fn is_bound_to(&self, key: &BrowserKey) -> bool {
        let hash: [u8; 32] = Sha256::digest(key.0).into();
        self.browser.is_some_and(|bound| bound.ct_eq(&hash).into())
    }
}

/// How events name a flow. Its handle opens it to a browser as long as none has, so that it is in no event.
pub(super) fn mark(id: &Id) -> String {
    let hash = Sha256::new().chain_update(b"countersign flow mark 1").chain_update(id).finalize();
    data_encoding::HEXLOWER.encode(&hash[..16])
}

/// What the seal of a flow covers besides it: whose it is, which act it is after, and which definition rules it.
fn aad(row: &FlowRow) -> Vec<u8> {
    Canonical::new("countersign flow 2")
        .bytes(&row.id)
        .bytes(&row.application_id)
        .int(row.epoch)
        .text(&row.definition)
        .finish()
}

/// A flow that somebody acts in.
pub(super) struct Walk<'a> {
    pub(super) app: &'a Appliance,
    /// On whose behalf the user acts: the application that began the flow.
    pub(super) caller: Caller,
    pub(super) row: FlowRow,
    pub(super) definition: Definition,
    pub(super) kept: Kept,
    pub(super) owner: Option<UserRow>,
    pub(super) now: Now,
    /// Recovery codes on their way to the user's eyes; never kept.
    pub(super) codes: Option<Vec<zeroize::Zeroizing<String>>>,
}

impl<'a> Walk<'a> {
    /// Loads a flow for whoever stands at the door.
    ///
    /// # Errors
    /// [`FlowError::NotFound`] alike for a flow that is not there, is over, or is somebody else's.
    pub(super) fn load(app: &'a Appliance, door: &Door<'_>, id: &Id) -> Result<Self, FlowError> {
        let found = app.store.read(|c| flow::by_id(c, id))?;
        let row = found.ok_or(FlowError::NotFound("flow"))?;
        let walk = Self::open(app, row)?;
        let may = match door {
            Door::Application(caller) => caller.application == walk.row.application_id,
            Door::Browser(key) => walk.kept.is_bound_to(key),
        };
        if may { Ok(walk) } else { Err(FlowError::NotFound("flow")) }
    }

    /// Opens a stored flow.
    pub(super) fn open(app: &'a Appliance, row: FlowRow) -> Result<Self, FlowError> {
        let now = app.clock.now();
        let changed = || FlowError::Tampered { what: "the flow", which: mark(&row.id) };
        let opened = app.hsm.open(&app.own_key()?, &aad(&row), &row.data);
        let bytes = opened.map_err(|error| match error {
            hsm::HsmError::Refused { .. } => changed(),
            error => error.into(),
        })?;
        let kept: Kept = serde_json::from_slice(&bytes).map_err(|_| changed())?;
        if kept.expires().passed(&now) {
            return Err(FlowError::NotFound("flow"));
        }
        let definition = app.config.people.flow(&row.definition).cloned();
        let definition = definition.ok_or(FlowError::NotFound("flow"))?;
        let (application, owner) = app.store.read(|c| {
            let owner = kept.journey.user.map(|id| user::by_id(c, &id)).transpose()?.flatten();
            Ok((application::by_id(c, &row.application_id)?, owner))
        })?;
        owner.as_ref().map_or(Ok(()), |owner| users::check_account(app, owner))?;
        let application = application.filter(|application| application.revoked_at.is_none());
        let application = application.ok_or(FlowError::NotFound("flow"))?;
        let actor = match &owner {
            Some(owner) => Actor { kind: "user", id: owner.user_ref.clone(), role: String::new() },
            None => Actor { kind: "application", id: application.name.to_string(), role: "flow".to_owned() },
        };
        let caller = Caller::without_rights(application.id, application.name, actor);
        let mut walk = Walk { app, caller, row, definition, kept, owner, now, codes: None };
        if walk.owner.is_none() {
            walk.owner = walk.newcomer();
        }
        Ok(walk)
    }

    /// Whether its browser is logged in: by a login that ended here, or by a change that began in such a session,
    /// whatever came of it.
    pub(super) fn is_session(&self) -> bool {
        let (kept, journey) = (&self.kept, &self.kept.journey);
        let ended = match self.definition.purpose {
            Purpose::Login => journey.at == At::Done,
            Purpose::SelfService => kept.session && journey.has_ended(),
            Purpose::SelfRegistration => false,
        };
        let active = self.owner.as_ref().is_some_and(|owner| owner.state == "active");
        ended && active && kept.browser.is_some() && kept.return_url.is_none()
    }

    /// The user's facts, where one is known.
    pub(super) fn facts(&self) -> Result<Option<Facts>, FlowError> {
        let Some(owner) = &self.owner else { return Ok(None) };
        let facts = facts(self.app, owner)?;
        let lost = facts.has_push_aside && !facts.has_push;
        Ok(Some(Facts { can_recover: lost && self.definition.recovery_codes, ..facts }))
    }

    /// A known user, for steps that have one.
    pub(super) fn user(&self) -> Result<&UserRow, FlowError> {
        self.owner.as_ref().ok_or(FlowError::NotFound("user"))
    }

    /// The user as the store has it now: with the failures that were counted meanwhile.
    pub(super) fn owner_now(&self) -> Result<UserRow, FlowError> {
        let id = self.user()?.id;
        let row = self.app.store.read(|c| user::by_id(c, &id))?.ok_or(FlowError::NotFound("user"))?;
        users::check_account(self.app, &row)?;
        Ok(row)
    }

    /// The row as it will be after this act.
    fn next_row(&self) -> Result<FlowRow, FlowError> {
        sealed(self.app, FlowRow { epoch: self.row.epoch + 1, ..self.row.clone() }, &self.kept)
    }

    /// Saves the flow together with what the act writes.
    ///
    /// # Errors
    /// [`FlowError::Conflict`] when somebody else acted in the flow meanwhile, or `also` says that what it was about
    /// has moved: then nothing is written.
    pub(super) fn save(
        &mut self,
        also: impl FnOnce(&mut Writing<'_>) -> Result<bool, crate::store::StoreError> + Send + 'static,
    ) -> Result<(), FlowError> {
        let next = self.next_row()?;
        let stored = next.clone();
        let saved = self.app.store.write(move |w| {
            // `also` writes last: what it refuses is rolled back with the flow.
            if !flow::put(w, &stored)? {
                return Ok(false);
            }
            if also(w)? { Ok(true) } else { Err(crate::store::StoreError::Exists(MOVED)) }
        });
        match saved {
            Ok(true) => {
                self.row = next;
                Ok(())
            }
            Ok(false) | Err(crate::store::StoreError::Exists(MOVED)) => {
                Err(FlowError::Conflict("the flow has gone on meanwhile".to_owned()))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// As [`Walk::save`], where what the act writes has to be there before the flow can refer to it.
    pub(super) fn save_first(
        &mut self,
        first: impl FnOnce(&mut Writing<'_>) -> Result<bool, crate::store::StoreError> + Send + 'static,
    ) -> Result<(), FlowError> {
        let next = self.next_row()?;
        let stored = next.clone();
        let saved = self.app.store.write(move |w| {
            let written = first(w)? && flow::put(w, &stored)?;
            if written { Ok(()) } else { Err(crate::store::StoreError::Exists(MOVED)) }
        });
        match saved {
            Ok(()) => {
                self.row = next;
                Ok(())
            }
            Err(crate::store::StoreError::Exists(MOVED)) => {
                Err(FlowError::Conflict("the flow has gone on meanwhile".to_owned()))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Saves the flow alone.
    pub(super) fn save_only(&mut self) -> Result<(), FlowError> {
        self.save(|_| Ok(true))
    }
}

const MOVED: &str = "another answer";

/// What a user has, at this moment.
pub(super) fn facts(app: &Appliance, owner: &UserRow) -> Result<Facts, FlowError> {
    let bound = phones::of_user(app, &owner.id)?;
    let tokens = app.store.read(|c| token::of_user(c, &owner.id))?;
    let phones = push::ask::lifecycles(app, owner)?;
    let has = |class: Class| {
        tokens.iter().any(|token| token.class == class && token.state.lifecycle == Lifecycle::Active)
    };
    Ok(Facts {
        active: owner.active_method,
        next: owner.next_method,
        has_password: owner.password_hash.is_some(),
        has_phone: bound.is_some_and(|bound| bound.state == "verified"),
        has_oath: has(Class::Soft),
        has_hardware: has(Class::Hard),
        has_email: owner.email.is_some(),
        has_push: phones.contains(&Lifecycle::Active),
        has_push_aside: phones.contains(&Lifecycle::Suspended),
        can_recover: false,
    })
}

fn name_of(at: &At) -> &'static str {
    super::show::asked(at).map_or("between", super::Asked::name)
}

/// A row with its data sealed.
pub(super) fn sealed(app: &Appliance, row: FlowRow, kept: &Kept) -> Result<FlowRow, FlowError> {
    let bytes = zeroize::Zeroizing::new(serde_json::to_vec(kept).map_err(|_| FlowError::Busy)?);
    let aad = aad(&row);
    Ok(FlowRow {
        user_id: kept.journey.user,
        asked: name_of(&kept.journey.at).to_owned(),
        data: app.hsm.seal(&app.own_key()?, &aad, &bytes)?,
        code_hash: kept.code_hash,
        expires: kept.expires(),
        ..row
    })
}
