//! Name and password (MOB-09, D-59): Argon2id, the same work for names that nobody has.

use std::sync::LazyLock;
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use domain::event::Event;
use domain::journey::Evidence;
use domain::verify::Reason;
use parking_lot::Mutex;

use super::kept::Walk;
use crate::appliance::Appliance;
use crate::flows::FlowError;
use crate::flows::guess::count_failure;
use crate::store::event;
use crate::store::user::UserRow;

/// Shortest and longest password, in characters and bytes (NIST SP 800-63B 3.1.1.2 asks for at least 8).
pub const PASSWORD_MIN: usize = 8;
/// Longest password, in bytes.
pub const PASSWORD_MAX: usize = 256;
/// Level of assurance of a password (B.3).
pub(super) const LOA: f64 = 1.0;
/// Memory in KiB, passes and lanes: the second choice of RFC 9106, section 4, in less memory (OWASP's minimum).
const COST: (u32, u32, u32) = (19 * 1024, 2, 1);
/// Passwords hashed at once: each takes its memory and a core.
const HASHES_AT_ONCE: usize = 4;
/// Longest wait for a turn.
const TURN_WAIT: Duration = Duration::from_secs(5);

static TURNS: [Mutex<()>; HASHES_AT_ONCE] = [const { Mutex::new(()) }; HASHES_AT_ONCE];

/// What is compared for names that nobody has. Its password is nobody's either.
static DECOY: LazyLock<String> = LazyLock::new(|| {
    let salt = b"countersign decoy";
    let hashed = hasher().hash_password_with_salt(b"no password is ever this one", salt);
    hashed.expect("the cost is within Argon2's limits").to_string()
});

fn hasher() -> Argon2<'static> {
    let (memory, passes, lanes) = COST;
    let params = Params::new(memory, passes, lanes, None).expect("the cost is within Argon2's limits");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

fn in_turn<T>(work: impl FnOnce() -> T) -> Result<T, FlowError> {
    // Whoever comes takes the first free turn, or waits for one of them.
    if let Some(_turn) = TURNS.iter().find_map(|turn| turn.try_lock()) {
        return Ok(work());
    }
    let _turn = TURNS[0].try_lock_for(TURN_WAIT).ok_or(FlowError::Busy)?;
    Ok(work())
}

/// Hashes a new password, with salt from the HSM.
///
/// # Errors
/// [`FlowError::Invalid`] for one that is too short or too long; when the HSM cannot answer.
pub(crate) fn hash(app: &Appliance, password: &str) -> Result<String, FlowError> {
    if password.chars().count() < PASSWORD_MIN || password.len() > PASSWORD_MAX {
        return Err(FlowError::Invalid(format!(
            "a password has {PASSWORD_MIN} to {PASSWORD_MAX} characters"
        )));
    }
    let salt = app.random::<16>()?;
    let hashed = in_turn(|| hasher().hash_password_with_salt(password.as_bytes(), &salt))?;
    hashed.map(|hash| hash.to_string()).map_err(|error| FlowError::Invalid(error.to_string()))
}

fn is_right(stored: Option<&str>, password: &str) -> Result<bool, FlowError> {
    let compared = stored.unwrap_or(&DECOY);
    let right = in_turn(|| {
        PasswordHash::new(compared)
            .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
    })?;
    Ok(right && stored.is_some())
}

impl Walk<'_> {
    /// Takes name and password; whatever is wrong says the same.
    pub(super) fn take_password(&mut self, name: Option<&str>, password: &str) -> Result<(), FlowError> {
        if self.kept.journey.name.is_none() {
            self.name(name.unwrap_or_default())?;
        }
        let known = self.owner.clone();
        let verdict = match &known {
            _ if password.is_empty() || password.len() > PASSWORD_MAX => Err(Reason::Malformed),
            None => Err(Reason::UnknownUser),
            Some(owner) => {
                let _order = self.app.lock_user(&owner.id)?;
                self.judge(&self.owner_now()?, password)?
            }
        };
        if matches!(verdict, Err(Reason::UnknownUser | Reason::Malformed)) {
            is_right(None, password)?;
        }
        if let Err(reason) = verdict {
            let mut event =
                Event::refused(self.now.wall_ms, "login.failed", self.caller.actor.clone(), reason.name());
            if let Some(owner) = &known {
                event = event.about("user_ref", &owner.user_ref);
            }
            self.app.refuse(event)?;
            // The name is asked for again: it may have been the wrong part. Not once something was shown: what one user
            // has shown must not serve another.
            if self.kept.journey.evidence.is_empty() {
                self.kept.journey.name = None;
                self.kept.journey.user = None;
                self.owner = None;
            }
            self.wrong("login.error.invalid");
            return Ok(());
        }
        self.shown(Evidence::Password, LOA);
        Ok(())
    }

    fn judge(&self, owner: &UserRow, password: &str) -> Result<Result<(), Reason>, FlowError> {
        let app = self.app;
        if let Err(reason) = app.admit(&self.caller, owner, &self.now)? {
            is_right(None, password)?;
            return Ok(Err(reason));
        }
        let right = is_right(owner.password_hash.as_deref(), password)?;
        let (id, application, limits, now) = (owner.id, self.caller.application, app.config.limits, self.now);
        let event = app.event("login.verified", &self.caller).about("user_ref", &owner.user_ref);
        let locked = app.event("user.locked", &self.caller).about("user_ref", &owner.user_ref);
        app.store.write(move |w| {
            // What was guessed wrong stays counted until the login has ended well: a password that is known brings no
            // new guesses at what follows it.
            if right {
                event::append(w, &event)?;
            } else if count_failure(w, &limits, &id, &application, &now)? {
                event::append(w, &locked)?;
            }
            Ok(())
        })?;
        Ok(if right { Ok(()) } else { Err(Reason::Wrong) })
    }
}
