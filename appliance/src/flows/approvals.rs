//! Acts of two persons: asked for by one, approved by another, done once.
//!
//! What a yes leaves is written in the same transaction as the act itself: of two who approve at once, or of two who
//! use one yes, the second finds another row than it loaded, and nothing of its act is written.

use std::sync::Arc;

use domain::approval::{Approval, Effect, Kind, Refusal, State};
use domain::event::{Actor, Event};
use domain::names::{ApplicationName, Serial, UserName};
use domain::role::{BREAK_GLASS, Right, Rights};
use domain::token::Id;
use serde::{Deserialize, Serialize};

use super::operators::RoleChange;
use super::{Caller, FlowError, OPERATOR, Warrant, handle, operators, provision, users};
use crate::appliance::Appliance;
use crate::store::approval::{self, ApprovalRow};
use crate::store::{StoreError, Writing, event};

/// Where the rows of approvals are.
const TABLE: &str = "the row in table approval";
/// Approvals that wait or stand open at the most.
const OPEN_MAX: u32 = 200;

/// An act with all its arguments, as the second person sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Act {
    /// [`Kind::AssignToken`].
    AssignToken {
        /// Serial of the token.
        token: String,
        /// Who gets it.
        user: String,
    },
    /// [`Kind::AddOperator`].
    AddOperator {
        /// The user.
        operator: String,
        /// On the local socket.
        uid: u32,
        /// Names of roles.
        roles: Vec<String>,
        /// For which organisations; none for all.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        scope: Vec<String>,
    },
    /// [`Kind::ChangeRoles`].
    ChangeRoles {
        /// The operator.
        operator: String,
        /// Name of the role.
        role: String,
        /// Whether it is given, or else taken.
        given: bool,
        /// For which organisations it is given; none for all.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        scope: Vec<String>,
    },
    /// [`Kind::RevokeOperator`].
    RevokeOperator {
        /// The operator.
        operator: String,
    },
    /// [`Kind::AddApplication`].
    AddApplication {
        /// Its name.
        application: String,
        /// What it may do.
        scopes: Vec<String>,
    },
    /// [`Kind::WipeDevice`].
    WipeDevice {
        /// Serial of the token that is wiped.
        wiped: String,
    },
    /// [`Kind::ReturnDevice`].
    ReturnDevice {
        /// Serial of the token that is returned.
        returned: String,
    },
    /// [`Kind::OpenBatch`].
    OpenBatch {
        /// Its name.
        batch: String,
    },
    /// [`Kind::ViewSecret`].
    ViewSecret {
        /// Whose secret is shown.
        secret_of: String,
        /// `qr`, `hex` or `base32`.
        format: String,
    },
}

impl Act {
    /// Which act it is.
    pub fn kind(&self) -> Kind {
        match self {
            Act::AssignToken { .. } => Kind::AssignToken,
            Act::AddOperator { .. } => Kind::AddOperator,
            Act::ChangeRoles { .. } => Kind::ChangeRoles,
            Act::RevokeOperator { .. } => Kind::RevokeOperator,
            Act::AddApplication { .. } => Kind::AddApplication,
            Act::WipeDevice { .. } => Kind::WipeDevice,
            Act::ReturnDevice { .. } => Kind::ReturnDevice,
            Act::OpenBatch { .. } => Kind::OpenBatch,
            Act::ViewSecret { .. } => Kind::ViewSecret,
        }
    }

    /// The arguments in their one spelling.
    fn arguments(&self) -> String {
        serde_json::to_string(self).expect("names and numbers are JSON")
    }

    fn of(approval: &Approval) -> Result<Self, FlowError> {
        let read: Option<Act> = serde_json::from_str(&approval.arguments).ok();
        let fault = || StoreError::Row { table: "approval", column: "arguments", row: handle(&approval.id) };
        Ok(read.filter(|act| act.kind() == approval.kind).ok_or_else(fault)?)
    }
}

/// What came of an act that may need two persons.
#[derive(Debug)]
pub enum Outcome<T> {
    /// It is done.
    Done(T),
    /// It waits for a second person.
    Waiting(Approval),
}

/// The next state of an approval, to be written with the act.
#[derive(Debug)]
pub struct Grant {
    loaded: ApprovalRow,
    next: ApprovalRow,
    event: Option<Event>,
}

impl Grant {
    /// The approval's handle.
    pub fn handle(&self) -> String {
        handle(&self.next.approval.id)
    }

    /// Who asked.
    pub fn requested_by(&self) -> String {
        self.next.approval.requested_by.name.clone()
    }

    fn settle(&self, writing: &mut Writing<'_>) -> Result<(), StoreError> {
        approval::replace(writing, &self.loaded, &self.next)?;
        self.event.as_ref().map_or(Ok(()), |granted| event::append(writing, granted).map(drop))
    }
}

/// Writes what a second person's yes leaves, in the act's own transaction.
///
/// # Errors
/// [`StoreError::Changed`] when another act was first.
pub(super) fn settle(writing: &mut Writing<'_>, warrant: &Warrant) -> Result<(), StoreError> {
    match warrant {
        Warrant::Own | Warrant::Bootstrap => Ok(()),
        Warrant::Granted(grant) => grant.settle(writing),
    }
}

fn is_for_two(app: &Appliance, kind: Kind) -> bool {
    app.config.two_person.acts.contains(&kind)
}

/// Does an act, or asks for a second person where the configuration wants one.
///
/// # Errors
/// The act's own; [`FlowError::Forbidden`] for an application, which is no person.
pub fn guarded<T>(
    app: &Appliance,
    caller: &Caller,
    act: &Act,
    run: impl FnOnce(&Caller) -> Result<T, FlowError>,
) -> Result<Outcome<T>, FlowError> {
    let kind = act.kind();
    if !is_for_two(app, kind) {
        return run(caller).map(Outcome::Done);
    }
    if caller.actor.kind != OPERATOR {
        let text = "this is an act of two persons, and an application is none: an operator has to ask for it";
        return Err(caller.forbidden(app, kind.name(), text)?);
    }
    if kind.right() == Right::Operators && caller.is_break_glass() && !operators::watch_each_other(app)? {
        return run(&Caller { warrant: Warrant::Bootstrap, ..caller.clone() }).map(Outcome::Done);
    }
    let arguments = act.arguments();
    let asked = |row: &ApprovalRow| {
        let approval = &row.approval;
        approval.kind == kind && approval.arguments == arguments && approval.requested_by == caller.party()
    };
    let now_ms = app.clock.now().steady_ms;
    match open(app)?.into_iter().find(asked) {
        Some(row) => match row.approval.clone().use_up(now_ms) {
            Ok(next) => {
                let grant = granting(app, row, next, None)?;
                let warrant = Warrant::Granted(Arc::new(grant));
                run(&Caller { warrant, ..caller.clone() }).map(Outcome::Done)
            }
            Err(_) => Ok(Outcome::Waiting(row.approval)),
        },
        None => request(app, caller, kind, arguments).map(Outcome::Waiting),
    }
}

fn request(app: &Appliance, caller: &Caller, kind: Kind, arguments: String) -> Result<Approval, FlowError> {
    let now_ms = app.clock.now().steady_ms;
    let approval = Approval {
        id: app.random()?,
        kind,
        arguments,
        requested_by: caller.party(),
        requested_at: now_ms,
        expires_at: now_ms.saturating_add(app.config.two_person.life_ms),
        state: State::Waiting,
        decided_by: None,
        decided_at: None,
    };
    let row = ApprovalRow { mac: app.row_mac(approval.bytes())?, approval: approval.clone() };
    let event = about(app.event("approval.requested", caller), &approval);
    let room = app.store.write(move |w| {
        let room = approval::count_open(w)? < OPEN_MAX;
        if room {
            approval::insert(w, &row)?;
            event::append(w, &event)?;
        }
        Ok(room)
    })?;
    if room {
        Ok(approval)
    } else {
        let text = format!("{OPEN_MAX} acts wait for a second person already: approve or deny some first");
        Err(FlowError::Conflict(text))
    }
}

fn about(event: Event, approval: &Approval) -> Event {
    // Not the arguments: they may name a person, and events outlive persons.
    event.about("approval", handle(&approval.id)).about("act", approval.kind.name())
}

/// Approvals that wait or stand open; those whose time is over are written down as expired first.
///
/// # Errors
/// [`FlowError::Tampered`] for a row that was changed outside the appliance; when HSM or store cannot answer.
pub fn open(app: &Appliance) -> Result<Vec<ApprovalRow>, FlowError> {
    let now_ms = app.clock.now().steady_ms;
    let mut open = Vec::new();
    for row in app.store.read(approval::open)? {
        check(app, &row)?;
        match row.approval.clone().expire(now_ms) {
            None => open.push(row),
            Some(expired) => expire(app, row, expired)?,
        }
    }
    Ok(open)
}

fn expire(app: &Appliance, row: ApprovalRow, expired: Approval) -> Result<(), FlowError> {
    let event = Event::ok(app.clock.now().wall_ms, "approval.expired", Actor::system("approvals"));
    let mut event = about(event, &expired).about("requested_by", &expired.requested_by.name);
    if let Some(by) = &expired.decided_by {
        event = event.about("decided_by", &by.name);
    }
    let grant = granting(app, row, expired, Some(event))?;
    match app.store.write(move |w| grant.settle(w)) {
        // Another request has written it down.
        Err(StoreError::Changed(_)) => Ok(()),
        written => Ok(written?),
    }
}

fn check(app: &Appliance, row: &ApprovalRow) -> Result<(), FlowError> {
    app.check_row(TABLE, &handle(&row.approval.id), row.approval.bytes(), &row.mac)
}

fn granting(
    app: &Appliance,
    loaded: ApprovalRow,
    next: Approval,
    event: Option<Event>,
) -> Result<Grant, FlowError> {
    let next = ApprovalRow { mac: app.row_mac(next.bytes())?, approval: next };
    Ok(Grant { loaded, next, event })
}

/// The approval with this handle, whatever has become of it.
///
/// # Errors
/// [`FlowError::NotFound`]; as [`open`].
pub fn find(app: &Appliance, id: &Id) -> Result<ApprovalRow, FlowError> {
    open(app)?;
    let row = app.store.read(|c| approval::by_id(c, id))?.ok_or(FlowError::NotFound("approval"))?;
    check(app, &row)?;
    Ok(row)
}

/// A second person says yes: the act is done, or may be done by who asked.
///
/// # Errors
/// [`FlowError::Forbidden`] for who asked, for whoever lacks the right, and for an application;
/// [`FlowError::Conflict`] when it is decided already, or who asked may not any more; the act's own.
pub fn approve(app: &Appliance, caller: &Caller, id: &Id) -> Result<Approval, FlowError> {
    let row = find(app, id)?;
    decider(app, caller, row.approval.kind)?;
    let now_ms = app.clock.now().steady_ms;
    let next = match row.approval.clone().approve(caller.party(), now_ms, app.config.two_person.life_ms) {
        Ok(next) => next,
        Err(refusal @ Refusal::Own) => {
            let at_ms = app.clock.now().wall_ms;
            let event = Event::refused(at_ms, "approval.granted", caller.actor.clone(), "own");
            app.refuse(about(event, &row.approval))?;
            return Err(FlowError::Forbidden(refusal.to_string()));
        }
        Err(refusal @ Refusal::Settled(_)) => return Err(FlowError::Conflict(refusal.to_string())),
    };
    asker_still_may(app, &next)?;
    let act = Act::of(&next)?;
    let event =
        about(app.event("approval.granted", caller), &next).about("requested_by", &next.requested_by.name);
    let grant = Arc::new(granting(app, row, next.clone(), Some(event))?);
    let caller = Caller { warrant: Warrant::Granted(Arc::clone(&grant)), ..caller.clone() };
    match next.kind.effect() {
        Effect::AtOnce => carry_out(app, &caller, &act)?,
        Effect::Once | Effect::Lasting => app.store.write(move |w| grant.settle(w))?,
    }
    Ok(next)
}

/// Somebody says no; who asked may take it back.
///
/// # Errors
/// [`FlowError::Forbidden`] without the right; [`FlowError::Conflict`] when it is done, denied or expired.
pub fn deny(app: &Appliance, caller: &Caller, id: &Id) -> Result<Approval, FlowError> {
    let row = find(app, id)?;
    if row.approval.requested_by != caller.party() {
        decider(app, caller, row.approval.kind)?;
    }
    let next = row.approval.clone().deny(caller.party(), app.clock.now().steady_ms);
    let next = next.map_err(|refusal| FlowError::Conflict(refusal.to_string()))?;
    let event =
        about(app.event("approval.denied", caller), &next).about("requested_by", &next.requested_by.name);
    let grant = granting(app, row, next.clone(), Some(event))?;
    app.store.write(move |w| grant.settle(w))?;
    Ok(next)
}

/// Whether the caller may decide over such an act.
///
/// # Errors
/// [`FlowError::Forbidden`].
pub fn decider(app: &Appliance, caller: &Caller, kind: Kind) -> Result<(), FlowError> {
    if caller.actor.kind != OPERATOR {
        let text = "an application is no person: an operator decides over this";
        return Err(caller.forbidden(app, kind.name(), text)?);
    }
    caller.need(app, kind.right())
}

/// A yes to somebody who has lost the right meanwhile is worth nothing.
fn asker_still_may(app: &Appliance, approval: &Approval) -> Result<(), FlowError> {
    let by = &approval.requested_by;
    let rights = if by.role == BREAK_GLASS {
        operators::rights_of_root(app)
    } else {
        let name = UserName::parse(&by.name).ok();
        let found = name.map(|name| operators::active(app, &name)).transpose()?.flatten();
        found.map_or(Rights::default(), |row| operators::rights(app, &row))
    };
    if rights.has(approval.kind.right()) {
        return Ok(());
    }
    Err(FlowError::Conflict(format!("{}, who asked, may not do this any more: deny it", by.name)))
}

/// Does what was approved, with the very arguments that were asked for.
fn carry_out(app: &Appliance, caller: &Caller, act: &Act) -> Result<(), FlowError> {
    let user = |text: &str| UserName::parse(text).map_err(|error| FlowError::Invalid(error.to_string()));
    match act {
        Act::AssignToken { token, user: to } => {
            let serial = Serial::parse(token).map_err(|error| FlowError::Invalid(error.to_string()))?;
            let owner = users::find(app, &user(to)?)?;
            provision::assign(app, caller, &serial, &owner).map(drop)
        }
        Act::AddOperator { operator, uid, roles, scope } => {
            let roles = operators::parse_roles(roles)?;
            let scopes = operators::parse_scope(&roles, scope)?;
            operators::add(app, caller, &user(operator)?, *uid, (&roles, &scopes)).map(drop)
        }
        Act::ChangeRoles { operator, role, given, scope } => {
            let change = if *given { RoleChange::give(role, scope) } else { RoleChange::take(role) };
            operators::change_role(app, caller, &user(operator)?, &change?).map(drop)
        }
        Act::RevokeOperator { operator } => operators::revoke(app, caller, &user(operator)?),
        Act::AddApplication { .. }
        | Act::WipeDevice { .. }
        | Act::ReturnDevice { .. }
        | Act::OpenBatch { .. }
        | Act::ViewSecret { .. } => {
            Err(FlowError::Conflict("this act is done by who asked for it".to_owned()))
        }
    }
}

/// Opens a batch, or asks for it. Gives the time until which it is open, where two persons open it.
///
/// # Errors
/// As [`guarded`].
pub fn open_batch(app: &Appliance, caller: &Caller, name: &str) -> Result<Outcome<Option<i64>>, FlowError> {
    if let Some(until) = batch_open_until(app, name)? {
        return Ok(Outcome::Done(Some(until)));
    }
    let valid = ApplicationName::parse(name);
    valid.map_err(|_| {
        FlowError::Invalid("a batch is named by letters, digits, '-', '_' and '.'".to_owned())
    })?;
    guarded(app, caller, &Act::OpenBatch { batch: name.to_owned() }, |_| Ok(None))
}

/// Until when an approved batch is open, in Unix milliseconds.
fn batch_open_until(app: &Appliance, name: &str) -> Result<Option<i64>, FlowError> {
    if !is_for_two(app, Kind::OpenBatch) {
        return Ok(None);
    }
    let arguments = Act::OpenBatch { batch: name.to_owned() }.arguments();
    let found = open(app)?.into_iter().map(|row| row.approval).find(|approval| {
        approval.kind == Kind::OpenBatch
            && approval.state == State::Approved
            && approval.arguments == arguments
    });
    Ok(found.map(|approval| approval.expires_at))
}

/// Whether tokens of this batch may be provisioned.
///
/// # Errors
/// [`FlowError::Conflict`] unless two persons opened it, where the configuration wants that.
pub(super) fn need_open_batch(app: &Appliance, batch: Option<&str>) -> Result<(), FlowError> {
    if !is_for_two(app, Kind::OpenBatch) {
        return Ok(());
    }
    let Some(name) = batch else {
        let text = "tokens are provisioned in a batch that two persons open: give the batch's name";
        return Err(FlowError::Conflict(text.to_owned()));
    };
    match batch_open_until(app, name)? {
        Some(_) => Ok(()),
        None => Err(FlowError::Conflict(format!(
            "batch {name} is not open: ask for it with `countersign technician open-batch {name}`"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read back is what was asked: no two acts share a spelling.
    #[test]
    fn an_act_is_read_back_from_its_arguments() {
        let text = || "x".to_owned();
        let acts = [
            Act::AssignToken { token: text(), user: text() },
            Act::AddOperator { operator: text(), uid: 7, roles: vec![text()], scope: Vec::new() },
            Act::ChangeRoles { operator: text(), role: text(), given: true, scope: vec![text()] },
            Act::RevokeOperator { operator: text() },
            Act::AddApplication { application: text(), scopes: vec![text()] },
            Act::WipeDevice { wiped: text() },
            Act::ReturnDevice { returned: text() },
            Act::OpenBatch { batch: text() },
            Act::ViewSecret { secret_of: text(), format: text() },
        ];
        assert_eq!(acts.len(), Kind::ALL.len());
        for act in acts {
            assert_eq!(serde_json::from_str::<Act>(&act.arguments()).unwrap(), act);
        }
    }

    /// What was asked before there were scopes is still that, in the same spelling: a wait goes on over an upgrade.
    #[test]
    fn an_act_without_organisations_is_spelled_as_ever() {
        let asked = r#"{"operator":"bob","role":"ra","given":true}"#;
        let act: Act = serde_json::from_str(asked).unwrap();
        assert_eq!((act.arguments().as_str(), act.kind()), (asked, Kind::ChangeRoles));
    }
}
