//! Operators: who is one, and what each may do.

use domain::names::UserName;
use domain::role::{BREAK_GLASS, Right, Rights, Role};
use domain::scope::{Scope, Scopes};

use super::{Caller, FlowError, OPERATOR, approvals, users};
use crate::appliance::Appliance;
use crate::store::operator::{self, OperatorRow};
use crate::store::{event, user};

/// Where the rows of operators are.
const TABLE: &str = "the row in table operator";
/// Administrators from whom on each is watched by another.
const WATCHERS: usize = 2;

/// Reads the name of a role.
///
/// # Errors
/// [`FlowError::Invalid`] names what is none.
pub fn parse_role(name: &str) -> Result<Role, FlowError> {
    Role::from_name(name)
        .ok_or_else(|| FlowError::Invalid(format!("{name:?} is no role; there are {}", known())))
}

fn known() -> String {
    Role::ALL.iter().map(|role| role.name()).collect::<Vec<_>>().join(", ")
}

/// Reads names of roles: at least one, each once.
///
/// # Errors
/// [`FlowError::Invalid`] names what is none.
pub fn parse_roles(names: &[String]) -> Result<Vec<Role>, FlowError> {
    if names.is_empty() {
        return Err(FlowError::Invalid(format!("give at least one role of {}", known())));
    }
    let mut roles = names.iter().map(|name| parse_role(name)).collect::<Result<Vec<Role>, FlowError>>()?;
    roles.sort_unstable();
    roles.dedup();
    Ok(roles)
}

/// What an operator may do: what the roles hold, and what the configuration gives to one of them by name.
pub fn rights(app: &Appliance, row: &OperatorRow) -> Rights {
    let held = row.roles.iter().fold(Rights::default(), |rights, role| rights.with(role.rights()));
    let granted =
        row.roles.iter().fold(Rights::default(), |rights, role| rights.with(granted(app, role.name())));
    held.with(granted)
}

/// What root, and whoever the daemon runs as, may do: everything but to see secrets, unless the configuration names
/// `break-glass` for that too (OATH-48).
pub fn rights_of_root(app: &Appliance) -> Rights {
    Rights::all().with(granted(app, BREAK_GLASS))
}

fn granted(app: &Appliance, role: &str) -> Rights {
    let viewers = &app.config.people.oath.view_secret_roles;
    if viewers.iter().any(|viewer| viewer == role) {
        Rights::of(&[Right::ViewSecret])
    } else {
        Rights::default()
    }
}

fn checked(app: &Appliance, row: OperatorRow) -> Result<OperatorRow, FlowError> {
    app.check_row(TABLE, row.name.as_str(), row.bytes(), &row.mac)?;
    Ok(row)
}

fn with_mac(app: &Appliance, row: OperatorRow) -> Result<OperatorRow, FlowError> {
    Ok(OperatorRow { mac: app.row_mac(row.bytes())?, ..row })
}

/// The operator behind a uid on the local socket.
///
/// # Errors
/// [`FlowError::Tampered`] for a row that was changed outside the appliance; when HSM or store cannot answer.
pub fn by_uid(app: &Appliance, uid: u32) -> Result<Option<OperatorRow>, FlowError> {
    app.store.read(|c| operator::by_uid(c, uid))?.map(|row| checked(app, row)).transpose()
}

/// The operator of this name, unless it is one no more.
///
/// # Errors
/// As [`by_uid`].
pub fn active(app: &Appliance, name: &UserName) -> Result<Option<OperatorRow>, FlowError> {
    let found = app.store.read(|c| operator::by_name(c, name))?;
    let found = found.map(|row| checked(app, row)).transpose()?;
    Ok(found.filter(|row| row.revoked_at.is_none()))
}

/// All operators by name, also former ones.
///
/// # Errors
/// As [`by_uid`].
pub fn list(app: &Appliance) -> Result<Vec<OperatorRow>, FlowError> {
    app.store.read(operator::list)?.into_iter().map(|row| checked(app, row)).collect()
}

/// Finds an operator, also a former one.
///
/// # Errors
/// [`FlowError::NotFound`]; as [`by_uid`].
pub fn find(app: &Appliance, name: &UserName) -> Result<OperatorRow, FlowError> {
    let found = app.store.read(|c| operator::by_name(c, name))?;
    checked(app, found.ok_or(FlowError::NotFound("operator"))?)
}

/// Whether there are administrators enough for two persons to decide who is an operator.
///
/// # Errors
/// As [`by_uid`].
pub(super) fn watch_each_other(app: &Appliance) -> Result<bool, FlowError> {
    let is_watcher = |row: &&OperatorRow| row.revoked_at.is_none() && rights(app, row).has(Right::Administer);
    Ok(list(app)?.iter().filter(is_watcher).count() >= WATCHERS)
}

/// For which organisations a caller has a right: what the roles that hold it were given for, within the configuration's
/// bounds. Root, and applications, have no such roles.
pub fn reach(app: &Appliance, caller: &Caller, right: Right) -> Scope {
    if caller.actor.kind != OPERATOR || caller.is_break_glass() {
        return Scope::Everywhere;
    }
    caller.scopes.for_right(&caller.roles, right).and(&app.config.enrol.bounds(&caller.actor.id))
}

/// Whether an operator works for these organisations alone, in every role.
pub(super) fn is_within(app: &Appliance, row: &OperatorRow, reach: &Scope) -> bool {
    let bounds = app.config.enrol.bounds(row.name.as_str());
    row.roles.iter().all(|role| row.scopes.of(*role).and(&bounds).is_within(reach))
}

/// Whether a caller has a right for all organisations: what belongs to none is not for those who work for some.
///
/// # Errors
/// [`FlowError::Forbidden`]; the refusal is an event.
pub fn need_everywhere(app: &Appliance, caller: &Caller, right: Right) -> Result<(), FlowError> {
    if reach(app, caller, right) == Scope::Everywhere {
        return Ok(());
    }
    let text = "your roles were given for some organisations, and this belongs to none of them";
    Err(caller.forbidden(app, right.name(), text)?)
}

/// Reads for which organisations roles are given.
///
/// # Errors
/// [`FlowError::Invalid`] for what is no organisation, and for organisations of roles that have no bounds.
pub fn parse_scope(roles: &[Role], names: &[String]) -> Result<Scopes, FlowError> {
    let invalid = |error: domain::scope::ScopeError| FlowError::Invalid(error.to_string());
    let scope = Scope::parse(names).map_err(invalid)?;
    let mut scopes = Scopes::default();
    let mut bounded = roles.iter().filter(|role| role.has_scope()).peekable();
    if let (None, Some(role)) = (bounded.peek(), roles.first()) {
        scopes.set(*role, scope).map_err(invalid)?;
        return Ok(scopes);
    }
    for role in bounded {
        scopes.set(*role, scope.clone()).map_err(invalid)?;
    }
    Ok(scopes)
}

/// Whether the caller may give or take these roles, for these organisations: who has a role for some gives for no other
/// (B.2).
///
/// # Errors
/// [`FlowError::Forbidden`]; the refusal is an event.
pub fn may_give(app: &Appliance, caller: &Caller, roles: &[Role], scopes: &Scopes) -> Result<(), FlowError> {
    for role in roles {
        let own = giving(app, caller, *role)?;
        if !scopes.of(*role).is_within(&own) {
            let names = own.names().unwrap_or_default().join(", ");
            let text =
                format!("you give and take the role {} for these organisations only: {names}", role.name());
            return Err(caller.forbidden(app, Right::Operators.name(), text)?);
        }
    }
    Ok(())
}

/// For which organisations a caller gives a role.
fn giving(app: &Appliance, caller: &Caller, role: Role) -> Result<Scope, FlowError> {
    // Root has no roles, and neither has an application with the scope of administration: each holds all rights.
    if caller.rights.include(Rights::all()) {
        return Ok(Scope::Everywhere);
    }
    let bounds = app.config.enrol.bounds(&caller.actor.id);
    let own = caller.roles.iter().filter(|own| own.may_give(role));
    let own = own.map(|own| caller.scopes.of(*own).and(&bounds));
    match own.reduce(Scope::or) {
        Some(own) => Ok(own),
        None => {
            let text = format!("your roles do not give or take the role {}", role.name());
            Err(caller.forbidden(app, Right::Operators.name(), text)?)
        }
    }
}

/// A scope as events tell it.
fn told(event: domain::event::Event, scopes: &Scopes) -> domain::event::Event {
    scopes.iter().fold(event, |event, (_, names)| event.about("scope", names.join(", ")))
}

/// Whether a uid may be an operator's.
///
/// # Errors
/// [`FlowError::Invalid`] for root and for whoever the daemon runs as: they are break-glass.
pub fn check_uid(uid: u32) -> Result<(), FlowError> {
    if uid == 0 || uid == rustix::process::geteuid().as_raw() {
        let text = format!("uid {uid} acts as break-glass and is no operator: give the uid of a person");
        return Err(FlowError::Invalid(text));
    }
    Ok(())
}

/// Makes a user an operator; the user is added where there is none.
///
/// # Errors
/// [`FlowError::Forbidden`] for a role that the caller does not give; [`FlowError::Invalid`] for the uid of root or
/// the daemon; [`FlowError::Store`] with `Exists` for an operator, or a uid, that is there.
pub fn add(
    app: &Appliance,
    caller: &Caller,
    name: &UserName,
    uid: u32,
    (roles, scopes): (&[Role], &Scopes),
) -> Result<OperatorRow, FlowError> {
    may_give(app, caller, roles, scopes)?;
    check_uid(uid)?;
    let known = app.store.read(|c| user::by_name(c, name))?;
    let (owner, new) = match known {
        Some(owner) => (owner.clone(), None),
        None => {
            let new = users::NewUser::named(name.clone());
            let owner = users::prepare(app, new)?;
            (owner.clone(), Some(owner))
        }
    };
    if owner.state != "active" {
        return Err(FlowError::Conflict(format!("the user is {}", owner.state)));
    }
    let row = OperatorRow {
        user_id: owner.id,
        name: name.clone(),
        uid: Some(uid),
        roles: roles.to_vec(),
        scopes: scopes.clone(),
        created_at: app.clock.now().wall_ms,
        revoked_at: None,
        mac: [0; 32],
    };
    let row = with_mac(app, row)?;
    let user_added = app.event("user.added", caller).about("user_ref", &owner.user_ref);
    let names: Vec<&str> = roles.iter().map(|role| role.name()).collect();
    let event = app
        .event("operator.added", caller)
        .about("user_ref", &owner.user_ref)
        .about("uid", uid.to_string())
        .about("roles", names.join("+"));
    let event = told(event, scopes);
    let (stored, warrant) = (row.clone(), caller.warrant.clone());
    app.store.write(move |w| {
        approvals::settle(w, &warrant)?;
        if let Some(new) = &new {
            user::insert(w, new)?;
            event::append(w, &user_added)?;
        }
        operator::insert(w, &stored)?;
        event::append(w, &event).map(drop)
    })?;
    Ok(row)
}

/// Ends an operator at once. The user stays.
///
/// # Errors
/// [`FlowError::NotFound`] when there is none; [`FlowError::Forbidden`] for one whose roles the caller does not take.
pub fn revoke(app: &Appliance, caller: &Caller, name: &UserName) -> Result<(), FlowError> {
    let row = active(app, name)?.ok_or(FlowError::NotFound("operator"))?;
    may_give(app, caller, &row.roles, &row.scopes)?;
    let next = OperatorRow { uid: None, revoked_at: Some(app.clock.now().wall_ms), ..row.clone() };
    let event = app.event("operator.revoked", caller);
    save(app, caller, row, next, event).map(drop)
}

/// A role, and whether it is given or taken.
#[derive(Clone, Debug)]
pub struct RoleChange {
    /// The role.
    pub role: Role,
    /// What it is given for; of no meaning where it is taken.
    pub scope: Scope,
    /// Whether it is given.
    pub given: bool,
}

impl RoleChange {
    /// A role to give.
    ///
    /// # Errors
    /// [`FlowError::Invalid`] for what is no role, or not to be given for these organisations.
    pub fn give(role: &str, organisations: &[String]) -> Result<Self, FlowError> {
        let role = parse_role(role)?;
        let scope = parse_scope(&[role], organisations)?.of(role);
        Ok(RoleChange { role, scope, given: true })
    }

    /// A role to take.
    ///
    /// # Errors
    /// [`FlowError::Invalid`] for what is no role.
    pub fn take(role: &str) -> Result<Self, FlowError> {
        Ok(RoleChange { role: parse_role(role)?, scope: Scope::Everywhere, given: false })
    }
}

/// Who is to have a role, or to lose one, is no operator.
pub const NO_OPERATOR: &str =
    "operator: make the user one first, with `countersign operator add NAME --uid UID --role ROLE`";

/// Gives an operator a role, or takes it; a role that is there is given for other organisations.
///
/// # Errors
/// [`FlowError::NotFound`] when there is no such operator; [`FlowError::Forbidden`] for a role, or organisations, that
/// the caller does not give; [`FlowError::Conflict`] when it is so already, or the last one would go.
pub fn change_role(
    app: &Appliance,
    caller: &Caller,
    name: &UserName,
    change: &RoleChange,
) -> Result<OperatorRow, FlowError> {
    let row = active(app, name)?.ok_or(FlowError::NotFound(NO_OPERATOR))?;
    let next = changed(app, caller, &row, change)?;
    let kind = if change.given { "operator.role_given" } else { "operator.role_taken" };
    let mut event = app.event(kind, caller).about("role", change.role.name());
    if let Some(names) = change.scope.names() {
        event = event.about("scope", names.join(", "));
    }
    save(app, caller, row, next, event)
}

/// The operator as it would be.
///
/// # Errors
/// As [`change_role`].
pub fn changed(
    app: &Appliance,
    caller: &Caller,
    row: &OperatorRow,
    change: &RoleChange,
) -> Result<OperatorRow, FlowError> {
    let mut scopes = row.scopes.clone().without(change.role);
    scopes.set(change.role, change.scope.clone()).map_err(|error| FlowError::Invalid(error.to_string()))?;
    giving(app, caller, change.role)?;
    // What is taken, or replaced, has to be within the own reach too.
    if row.roles.contains(&change.role) {
        may_give(app, caller, &[change.role], &row.scopes)?;
    }
    if change.given {
        may_give(app, caller, &[change.role], &scopes)?;
    }
    let roles = if given_anew(row, change) { row.roles.clone() } else { changed_roles(row, change)? };
    Ok(OperatorRow { roles, scopes, ..row.clone() })
}

/// Whether a role that is there is given for other organisations, which have to be named: nobody works everywhere because
/// a word was left out.
fn given_anew(row: &OperatorRow, change: &RoleChange) -> bool {
    change.given
        && row.roles.contains(&change.role)
        && change.scope != Scope::Everywhere
        && change.scope != row.scopes.of(change.role)
}

/// The roles as they would be.
///
/// # Errors
/// [`FlowError::Conflict`] when it is so already, or the last one would go.
fn changed_roles(row: &OperatorRow, change: &RoleChange) -> Result<Vec<Role>, FlowError> {
    let RoleChange { role, given, .. } = *change;
    let mut roles: Vec<Role> = row.roles.iter().copied().filter(|own| *own != role).collect();
    if (roles.len() != row.roles.len()) == given {
        let has = if given { "has" } else { "lacks" };
        let text = format!("{} {has} the role {} already", row.name, role.name());
        return Err(FlowError::Conflict(match row.scopes.of(role).names() {
            Some(names) if given => {
                let names = names.join(", ");
                format!("{text}, for {names}: name others, or take the role to give it for all")
            }
            _ => text,
        }));
    }
    if given {
        roles.push(role);
        roles.sort_unstable();
    }
    if roles.is_empty() {
        let text = format!("{} is the last role of {}: revoke the operator instead", role.name(), row.name);
        return Err(FlowError::Conflict(text));
    }
    Ok(roles)
}

fn save(
    app: &Appliance,
    caller: &Caller,
    row: OperatorRow,
    next: OperatorRow,
    event: domain::event::Event,
) -> Result<OperatorRow, FlowError> {
    let next = with_mac(app, next)?;
    let owner = app.store.read(|c| user::by_id(c, &row.user_id))?.ok_or(FlowError::NotFound("user"))?;
    let event = event.about("user_ref", owner.user_ref);
    let (stored, warrant) = (next.clone(), caller.warrant.clone());
    app.store.write(move |w| {
        approvals::settle(w, &warrant)?;
        operator::replace(w, &row, &stored)?;
        event::append(w, &event).map(drop)
    })?;
    Ok(next)
}
