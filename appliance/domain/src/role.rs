//! Who may do what: rights, the roles that operators have, the scopes that applications have.
//!
//! Provisioning hardware tokens and giving them to people are apart: no role has both. A person who shall do both
//! gets two roles, and that takes a second person.

/// Role of root, and of whoever the daemon runs as, in events: they could read everything anyway.
pub const BREAK_GLASS: &str = "break-glass";

macro_rules! named {
    ($(#[$doc:meta])* $type:ident { $($(#[$each:meta])* $variant:ident = $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $type {
            $($(#[$each])* $variant,)*
        }

        impl $type {
            /// All of them.
            pub const ALL: &'static [$type] = &[$($type::$variant,)*];

            /// As it is written.
            pub fn name(self) -> &'static str {
                match self {
                    $($type::$variant => $name,)*
                }
            }

            /// Reads what [`Self::name`] writes.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.name() == name)
            }
        }
    };
}
pub(crate) use named;

named! {
    /// What an act needs.
    Right {
        /// Verify codes.
        Verify = "verify",
        /// Order and answer challenges.
        Challenge = "challenge",
        /// See users and tokens, numbers masked.
        ReadUsers = "users:read",
        /// Add and unlock users.
        WriteUsers = "users:write",
        /// Enrol, assign and change tokens.
        WriteTokens = "tokens:write",
        /// Suspend a token.
        LockTokens = "tokens:lock",
        /// Revoke a token.
        RevokeTokens = "tokens:revoke",
        /// End a user's OATH account; its secret is erased (OATH-03).
        DeleteOath = "oath:delete",
        /// See the secret of a user's OATH account (OATH-04). No role and no scope has it; the configuration names who.
        ViewSecret = "oath:view_secret",
        /// Bind a number that the caller has verified.
        AssertPhone = "phone:assert",
        /// Send a test text to a verified number.
        TestPhone = "phone:test",
        /// Order letters.
        OrderLetters = "letters:order",
        /// Ask for an enrolment.
        RequestEnrolment = "enrol:request",
        /// Vet people, bind and activate their factors.
        Vet = "enrol:vet",
        /// See enrolments, what was vetted masked.
        ReadEnrolments = "enrol:read",
        /// See in an enrolment how its applicant is reached, and what was vetted.
        ReadContacts = "enrol:contacts",
        /// Say who a user is.
        AssertUser = "user:assert",
        /// Ask a user's phone without the user's browser.
        Backchannel = "backchannel",
        /// Read events.
        ReadEvents = "events:read",
        /// Work at the bench: provision hardware tokens, keep the stock.
        Provision = "provision",
        /// Manage operators, as far as the own role may give roles.
        Operators = "operators",
        /// Manage applications, the HSM and the outbox.
        Administer = "admin",
    }
}

/// A set of rights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rights(u32);

impl Rights {
    /// Every right but the one that the configuration alone gives: [`Right::ViewSecret`] (OATH-48).
    pub fn all() -> Self {
        Rights(Rights::of(Right::ALL).0 & !Rights::of(&[Right::ViewSecret]).0)
    }

    /// Whether all of the others are among them.
    pub fn include(self, others: Rights) -> bool {
        self.with(others) == self
    }

    /// These rights.
    pub fn of(rights: &[Right]) -> Self {
        Rights(rights.iter().fold(0, |set, right| set | 1 << *right as u32))
    }

    /// What one or the other has.
    pub fn with(self, other: Rights) -> Self {
        Rights(self.0 | other.0)
    }

    /// Whether a right is among them.
    pub fn has(self, right: Right) -> bool {
        self.0 & (1 << right as u32) != 0
    }

    /// The rights, in the order of [`Right::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Right> {
        Right::ALL.iter().copied().filter(move |right| self.has(*right))
    }
}

named! {
    /// What an operator is (B.2). An operator may have several.
    Role {
        /// Users, tokens, applications, operators; not the bench.
        Admin = "admin",
        /// The bench; never whose a token is.
        Technician = "technician",
        /// Looks, tests a phone, sets a token aside.
        Helpdesk = "helpdesk",
        /// Reads events and enrolments, and nothing else.
        Auditor = "auditor",
        /// Registration authority.
        Ra = "ra",
        /// Appoints registration authorities.
        Raa = "raa",
        /// Appoints those who appoint.
        Sraa = "sraa",
    }
}

const ADMIN: &[Right] = &[
    Right::Verify,
    Right::Challenge,
    Right::ReadUsers,
    Right::WriteUsers,
    Right::WriteTokens,
    Right::LockTokens,
    Right::RevokeTokens,
    Right::DeleteOath,
    Right::AssertPhone,
    Right::TestPhone,
    Right::OrderLetters,
    Right::RequestEnrolment,
    Right::ReadEnrolments,
    Right::ReadEvents,
    Right::Operators,
    Right::Administer,
];

impl Role {
    /// What the role may do.
    pub fn rights(self) -> Rights {
        Rights::of(match self {
            Role::Admin => ADMIN,
            Role::Technician => &[Right::Verify, Right::Provision],
            Role::Helpdesk => &[Right::ReadUsers, Right::LockTokens, Right::TestPhone, Right::OrderLetters],
            Role::Auditor => &[Right::ReadEnrolments, Right::ReadEvents],
            Role::Ra => &[Right::ReadUsers, Right::RevokeTokens, Right::Vet, Right::ReadEnrolments],
            Role::Raa => &[
                Right::ReadUsers,
                Right::RevokeTokens,
                Right::Vet,
                Right::ReadEnrolments,
                Right::ReadContacts,
                Right::Operators,
            ],
            Role::Sraa => &[
                Right::ReadUsers,
                Right::RevokeTokens,
                Right::Vet,
                Right::ReadEnrolments,
                Right::ReadContacts,
                Right::ReadEvents,
                Right::Operators,
            ],
        })
    }

    /// Whether the role may be given for some organisations only.
    pub fn has_scope(self) -> bool {
        matches!(self, Role::Ra | Role::Raa)
    }

    /// Whether who has this role may give and take another.
    pub fn may_give(self, other: Role) -> bool {
        match self {
            Role::Admin => true,
            Role::Raa => other == Role::Ra,
            Role::Sraa => matches!(other, Role::Ra | Role::Raa),
            Role::Technician | Role::Helpdesk | Role::Auditor | Role::Ra => false,
        }
    }
}

/// What an application may be allowed: names of rights, of which some hold others.
pub const SCOPES: [&str; 13] = [
    "verify",
    "challenge",
    "users:read",
    "users:write",
    "tokens:write",
    "letters:order",
    "enrol:request",
    "user:assert",
    "phone:assert",
    "backchannel",
    "events:read",
    "provision",
    "admin",
];

/// What a scope of an application holds; none for a text that is no scope.
pub fn scope_rights(scope: &str) -> Option<Rights> {
    if !SCOPES.contains(&scope) {
        return None;
    }
    let right = Right::from_name(scope)?;
    Some(match right {
        Right::Administer => Rights::all(),
        Right::WriteUsers => Rights::of(&[right, Right::TestPhone]),
        Right::WriteTokens => Rights::of(&[right, Right::LockTokens, Right::RevokeTokens, Right::DeleteOath]),
        _ => Rights::of(&[right]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// B.2, whole: a line per right; a column per role in the order of `Role::ALL`.
    const TABLE: &str = "\
verify        AT-----
challenge     A------
users:read    A-H-RRR
users:write   A------
tokens:write  A------
tokens:lock   A-H----
tokens:revoke A---RRR
oath:delete   A------
oath:view_secret -------
phone:assert  A------
phone:test    A-H----
letters:order A-H----
enrol:request A------
enrol:vet     ----RRR
enrol:read    A--URRR
enrol:contacts -----RS
user:assert   -------
backchannel   -------
events:read   A--U--S
provision     -T-----
operators     A----RS
admin         A------
";

    #[test]
    fn the_table_of_rights_is_this_one() {
        let lines: Vec<&str> = TABLE.lines().collect();
        assert_eq!(lines.len(), Right::ALL.len());
        for (line, right) in lines.into_iter().zip(Right::ALL) {
            let (name, marks) = line.split_once(' ').unwrap();
            assert_eq!(name, right.name());
            let marks: Vec<char> = marks.trim().chars().collect();
            assert_eq!(marks.len(), Role::ALL.len());
            for (mark, role) in marks.into_iter().zip(Role::ALL) {
                assert_eq!(role.rights().has(*right), mark != '-', "{} {name}", role.name());
            }
        }
    }

    #[test]
    fn no_role_both_provisions_and_assigns() {
        for role in Role::ALL {
            let rights = role.rights();
            assert!(!(rights.has(Right::Provision) && rights.has(Right::WriteTokens)), "{}", role.name());
        }
    }

    /// BIND-37: who appoints whom.
    #[test]
    fn roles_are_given_downwards_only() {
        let given = |role: Role| -> Vec<&str> {
            Role::ALL.iter().filter(|other| role.may_give(**other)).map(|other| other.name()).collect()
        };
        let all: Vec<&str> = Role::ALL.iter().map(|role| role.name()).collect();
        assert_eq!(given(Role::Admin), all);
        assert_eq!(given(Role::Raa), ["ra"]);
        assert_eq!(given(Role::Sraa), ["ra", "raa"]);
        for role in Role::ALL {
            assert_eq!(!given(*role).is_empty(), role.rights().has(Right::Operators), "{}", role.name());
        }
    }

    /// OATH-48: nobody sees a secret whom the configuration does not name.
    #[test]
    fn no_scope_and_not_even_all_rights_show_a_secret() {
        assert!(!Rights::all().has(Right::ViewSecret));
        for scope in SCOPES {
            assert!(scope_rights(scope).is_some_and(|rights| !rights.has(Right::ViewSecret)), "{scope}");
        }
        assert!(Rights::all().with(Rights::of(&[Right::ViewSecret])).include(Rights::all()));
        assert!(!Rights::of(&[Right::Verify]).include(Rights::all()));
    }

    #[test]
    fn a_scope_holds_its_own_right_and_admin_all() {
        for scope in SCOPES {
            let rights = scope_rights(scope).unwrap();
            assert!(rights.iter().any(|right| right.name() == scope), "{scope}");
        }
        assert_eq!(scope_rights("admin"), Some(Rights::all()));
        assert_eq!(scope_rights("operators"), None);
        assert!(scope_rights("tokens:write").is_some_and(|rights| !rights.has(Right::Provision)));
    }

    #[test]
    fn names_are_read_back() {
        for role in Role::ALL {
            assert_eq!(Role::from_name(role.name()), Some(*role));
        }
        assert_eq!(Role::from_name("Admin"), None);
    }
}
