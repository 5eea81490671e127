//! A new user registers (OATH-39, D-58): name, password, address, then a second factor; everything is written in one
//! transaction at the end, or nothing.

use domain::method::Method;
use domain::names::UserName;
use domain::token::Id;
use serde::{Deserialize, Serialize};

use super::kept::Walk;
use super::{Details, password};
use crate::flows::{FlowError, users};
use crate::store::token::TokenRow;
use crate::store::user::UserRow;
use crate::store::{event, token, user};

/// Longest e-mail address, in bytes (RFC 5321, 4.5.3.1.3).
const EMAIL_MAX: usize = 254;
/// Lines of an address at the most, and characters of a line: what the window of an envelope holds.
const LINES_MAX: usize = 6;
const LINE_MAX: usize = 60;

/// A user that is not stored yet.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Newcomer {
    id: Id,
    name: String,
    user_ref: String,
    person_key: Vec<u8>,
    email: Option<Vec<u8>>,
    postal_address: Option<Vec<u8>>,
    password_hash: String,
    created_at: i64,
}

impl Newcomer {
    /// The row that it would be.
    pub(super) fn row(&self, lang: &str, method: Option<Method>) -> Option<UserRow> {
        Some(UserRow {
            id: self.id,
            name: UserName::parse(&self.name).ok()?,
            user_ref: self.user_ref.clone(),
            lang: lang.to_owned(),
            state: "active".to_owned(),
            person_key: Some(self.person_key.clone()),
            contact_phone: None,
            email: self.email.clone(),
            postal_address: self.postal_address.clone(),
            password_hash: Some(self.password_hash.clone()),
            active_method: method.unwrap_or(Method::Password),
            next_method: None,
            mac: None,
            skips: 0,
            failures: 0,
            created_at: self.created_at,
        })
    }
}

/// Reads an e-mail address: one `@`, something on both sides, nothing that could start another header.
pub(crate) fn is_address(text: &str) -> bool {
    let clean = text.len() <= EMAIL_MAX && text.bytes().all(|byte| byte.is_ascii_graphic());
    let parts = text.split_once('@');
    clean
        && parts
            .is_some_and(|(local, domain)| !local.is_empty() && domain.contains('.') && !domain.contains('@'))
}

/// Whether lines fit the window of an envelope.
pub(crate) fn fits_window(lines: &[String]) -> bool {
    lines.len() <= LINES_MAX
        && lines.iter().all(|line| line.chars().count() <= LINE_MAX && !line.chars().any(char::is_control))
}

impl Walk<'_> {
    /// Takes a new user's own words.
    pub(super) fn take_details(&mut self, details: Details) -> Result<(), FlowError> {
        let Ok(name) = UserName::parse(details.name.trim()) else {
            self.wrong("details.error.name");
            return Ok(());
        };
        let hash = match password::hash(self.app, &details.password) {
            Ok(hash) => hash,
            Err(FlowError::Invalid(_)) => {
                self.wrong("details.error.password");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        // Whether a name is taken cannot be hidden from whoever registers.
        if self.app.store.read(|c| user::by_name(c, &name))?.is_some() {
            self.wrong("details.error.name");
            return Ok(());
        }
        if details.email.as_deref().is_some_and(|email| !is_address(email.trim())) {
            self.wrong("details.error.email");
            return Ok(());
        }
        let lines: Vec<String> = details.address.into_iter().filter(|line| !line.is_empty()).collect();
        if !fits_window(&lines) {
            self.wrong("details.error.address");
            return Ok(());
        }
        let (id, person_key) = (self.app.new_id()?, self.app.hsm.new_person_key()?);
        let seal = |what: fn(&Id) -> Vec<u8>, text: &str| {
            self.app.hsm.seal(&person_key, &what(&id), text.as_bytes())
        };
        let email = details.email.as_deref().map(|email| seal(users::email_aad, email.trim())).transpose()?;
        let postal_address =
            (!lines.is_empty()).then(|| seal(users::address_aad, &lines.join("\n"))).transpose()?;
        self.kept.newcomer = Some(Newcomer {
            id,
            name: name.to_string(),
            user_ref: data_encoding::HEXLOWER.encode(&self.app.random::<16>()?),
            person_key,
            email,
            postal_address,
            password_hash: hash,
            created_at: self.now.wall_ms,
        });
        self.kept.journey.name = Some(name.to_string());
        self.kept.journey.newcomer = true;
        self.kept.journey.on();
        self.owner = self.newcomer();
        Ok(())
    }

    /// The user that this flow would write.
    pub(super) fn newcomer(&self) -> Option<UserRow> {
        let newcomer = self.kept.newcomer.as_ref()?;
        newcomer.row(&self.kept.lang, self.kept.journey.method)
    }

    /// Writes user and token together (OATH-39).
    pub(super) fn persist(&mut self) -> Result<(), FlowError> {
        let row = self.newcomer().ok_or(FlowError::NotFound("user"))?;
        let row = users::sealed(self.app, row)?;
        self.owner = Some(row.clone());
        let token: Option<TokenRow> = match self.kept.journey.activated {
            Some(_) => Some(self.confirmed_row()?),
            None => None,
        };
        let added = self.app.event("user.registered", &self.caller).about("user_ref", &row.user_ref);
        let secret = token.as_ref().map(|token| {
            self.app
                .event("oath.secret_added", &self.caller)
                .about("user_ref", &row.user_ref)
                .about("token", token.serial.as_str())
                .about("replaced", "false")
        });
        self.kept.newcomer = None;
        self.kept.pending = None;
        self.kept.journey.newcomer = false;
        self.kept.journey.user = Some(row.id);
        let saved = self.save_new_user(row, token, added, secret);
        if let Err(FlowError::Store(crate::store::StoreError::Exists(_)) | FlowError::Conflict(_)) = saved {
            // Somebody took the name meanwhile.
            self.kept.journey.user = None;
            self.owner = None;
            self.kept.journey.fail("details.error.name");
            return self.save_only();
        }
        saved
    }

    fn save_new_user(
        &mut self,
        row: UserRow,
        token: Option<TokenRow>,
        added: domain::event::Event,
        secret: Option<domain::event::Event>,
    ) -> Result<(), FlowError> {
        self.save_first(move |w| {
            user::insert(w, &row)?;
            if let Some(token) = &token {
                token::insert(w, token)?;
            }
            event::append(w, &added)?;
            secret.iter().try_for_each(|event| event::append(w, event).map(drop))?;
            Ok(true)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_headers() {
        assert!(is_address("alice@example.org"));
        for text in
            ["", "alice", "@example.org", "alice@", "a@b", "a@b.c\r\nBcc: x@y.z", "a@b@c.d", "a b@c.d"]
        {
            assert!(!is_address(text), "{text}");
        }
        assert!(fits_window(&["Alice".to_owned(), "Example Street 1".to_owned()]));
        assert!(!fits_window(&vec![String::new(); 7]));
        assert!(!fits_window(&["\u{7}".to_owned()]));
    }
}
