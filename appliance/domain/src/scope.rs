//! Whose registration authority somebody is: the organisations that a role was given for (BIND-37, B.2).

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use crate::role::{Right, Role};

/// Longest name of an organisation, in characters.
pub const ORGANISATION_MAX: usize = 64;
/// Organisations that one role is given for at the most.
pub const SCOPE_MAX: usize = 64;

/// Why a role cannot be given so.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ScopeError {
    /// One of the names is none.
    #[error("an organisation is named by 1 to {ORGANISATION_MAX} characters, without a space at either end")]
    Name,
    /// Too many of them.
    #[error("a role is given for at most {SCOPE_MAX} organisations; without any it is given for all")]
    TooMany,
    /// A role that has no bounds.
    #[error("the role {} is given for all organisations: only ra and raa are given for some", .0.name())]
    Unbounded(Role),
}

/// Whether a text can name an organisation.
pub fn is_organisation(text: &str) -> bool {
    let length = text.chars().count();
    (1..=ORGANISATION_MAX).contains(&length) && !text.chars().any(char::is_control) && text.trim() == text
}

/// Organisations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// All of them, also those that nobody has named yet.
    #[default]
    Everywhere,
    /// These, and no other.
    Within(BTreeSet<String>),
}

impl Scope {
    /// Reads names; none of them is [`Scope::Everywhere`].
    ///
    /// # Errors
    /// [`ScopeError`] for what is no name, and for more than [`SCOPE_MAX`].
    pub fn parse(names: &[String]) -> Result<Self, ScopeError> {
        if names.is_empty() {
            return Ok(Scope::Everywhere);
        }
        let names: BTreeSet<String> = names.iter().cloned().collect();
        if !names.iter().all(|name| is_organisation(name)) {
            return Err(ScopeError::Name);
        }
        if names.len() > SCOPE_MAX {
            return Err(ScopeError::TooMany);
        }
        Ok(Scope::Within(names))
    }

    /// Whether an organisation is among them.
    pub fn includes(&self, organisation: &str) -> bool {
        match self {
            Scope::Everywhere => true,
            Scope::Within(names) => names.contains(organisation),
        }
    }

    /// Whether all of them are among the others.
    pub fn is_within(&self, other: &Scope) -> bool {
        match (self, other) {
            (_, Scope::Everywhere) => true,
            (Scope::Everywhere, Scope::Within(_)) => false,
            (Scope::Within(own), Scope::Within(others)) => own.is_subset(others),
        }
    }

    /// What one or the other has.
    pub fn or(self, other: Scope) -> Scope {
        match (self, other) {
            (Scope::Within(mut own), Scope::Within(others)) => {
                own.extend(others);
                Scope::Within(own)
            }
            _ => Scope::Everywhere,
        }
    }

    /// What both have.
    pub fn and(self, other: &Scope) -> Scope {
        match (self, other) {
            (own, Scope::Everywhere) => own,
            (Scope::Everywhere, bound) => bound.clone(),
            (Scope::Within(mut own), Scope::Within(others)) => {
                own.retain(|name| others.contains(name));
                Scope::Within(own)
            }
        }
    }

    /// The names in their order; none for [`Scope::Everywhere`].
    pub fn names(&self) -> Option<Vec<String>> {
        match self {
            Scope::Everywhere => None,
            Scope::Within(names) => Some(names.iter().cloned().collect()),
        }
    }
}

/// For which organisations an operator has each role; a role that is not in it was given for all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes(BTreeMap<Role, Scope>);

impl Scopes {
    /// The organisations of a role.
    pub fn of(&self, role: Role) -> Scope {
        self.0.get(&role).cloned().unwrap_or_default()
    }

    /// Gives a role for these organisations, in place of those before.
    ///
    /// # Errors
    /// [`ScopeError::Unbounded`] for bounds of a role that has none.
    pub fn set(&mut self, role: Role, scope: Scope) -> Result<(), ScopeError> {
        match scope {
            Scope::Everywhere => drop(self.0.remove(&role)),
            Scope::Within(_) if !role.has_scope() => return Err(ScopeError::Unbounded(role)),
            within @ Scope::Within(_) => drop(self.0.insert(role, within)),
        }
        Ok(())
    }

    /// Forgets the organisations of a role that is had no more.
    pub fn without(mut self, role: Role) -> Scopes {
        self.0.remove(&role);
        self
    }

    /// Where somebody with these roles has a right: for what any of them was given. A right that none of them holds has
    /// its source elsewhere, and is bound to nothing here.
    pub fn for_right(&self, roles: &[Role], right: Right) -> Scope {
        let holding = roles.iter().filter(|role| role.rights().has(right));
        holding.map(|role| self.of(*role)).reduce(Scope::or).unwrap_or_default()
    }

    /// Whether every role was given for all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The roles that were given for some organisations only, with these.
    pub fn iter(&self) -> impl Iterator<Item = (Role, Vec<String>)> {
        self.0.iter().filter_map(|(role, scope)| scope.names().map(|names| (*role, names)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn within(names: &[&str]) -> Scope {
        Scope::parse(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    /// BIND-37. Red when somebody who was given a role for some organisations has it elsewhere.
    #[test]
    fn sets_of_organisations() {
        let (all, a, ab) = (Scope::Everywhere, within(&["A"]), within(&["B", "A"]));
        assert_eq!(Scope::parse(&[]), Ok(Scope::Everywhere));
        assert!(all.includes("A") && a.includes("A") && !a.includes("B") && !a.includes(""));
        assert!(a.is_within(&ab) && !ab.is_within(&a) && ab.is_within(&all) && !all.is_within(&ab));
        assert_eq!((a.clone().or(within(&["B"])), a.clone().or(all.clone())), (ab.clone(), all.clone()));
        assert_eq!(
            (ab.clone().and(&a), all.clone().and(&a), a.clone().and(&all)),
            (a.clone(), a.clone(), a.clone())
        );
        let nothing = a.and(&within(&["B"]));
        assert!(!nothing.includes("A") && !nothing.includes("B") && nothing.names() == Some(Vec::new()));
    }

    #[test]
    fn what_is_no_name_of_an_organisation() {
        for bad in ["", " A", "A ", "A\n", &"x".repeat(ORGANISATION_MAX + 1)] {
            assert_eq!(Scope::parse(&[bad.to_owned()]), Err(ScopeError::Name), "{bad:?}");
        }
        let many: Vec<String> = (0..=SCOPE_MAX).map(|n| n.to_string()).collect();
        assert_eq!(Scope::parse(&many), Err(ScopeError::TooMany));
    }

    /// B.2: registration authorities and who appoints them have a scope, nobody else.
    #[test]
    fn a_right_reaches_as_far_as_the_roles_that_hold_it() {
        let mut scopes = Scopes::default();
        scopes.set(Role::Ra, within(&["A"])).unwrap();
        scopes.set(Role::Raa, within(&["B"])).unwrap();
        for role in [Role::Admin, Role::Technician, Role::Helpdesk, Role::Auditor, Role::Sraa] {
            assert_eq!(scopes.set(role, within(&["A"])), Err(ScopeError::Unbounded(role)));
        }
        assert_eq!(scopes.for_right(&[Role::Ra], Right::Vet), within(&["A"]));
        assert_eq!(scopes.for_right(&[Role::Ra, Role::Raa], Right::Vet), within(&["A", "B"]));
        assert_eq!(scopes.for_right(&[Role::Ra, Role::Raa], Right::Operators), within(&["B"]));
        assert_eq!(scopes.for_right(&[Role::Ra, Role::Sraa], Right::Vet), Scope::Everywhere);
        assert_eq!(scopes.for_right(&[Role::Ra, Role::Auditor], Right::ReadEnrolments), Scope::Everywhere);
        assert_eq!(scopes.for_right(&[Role::Ra], Right::Administer), Scope::Everywhere);
        assert_eq!(scopes.clone().without(Role::Ra).of(Role::Ra), Scope::Everywhere);
    }
}
