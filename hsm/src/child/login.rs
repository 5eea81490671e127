//! C_Login as the user: one try, then a person. A wrong PIN can lock a token for good.

use cryptoki::error::{Error, RvError};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::TokenInfo;
use cryptoki::types::AuthPin;

use super::fault::describe;
use crate::HsmError;
use crate::latch::{Latch, Standing};
use crate::pin::{self, Pin};
use crate::wire::PinPath;

/// Logs in once, unless latch or token say that nobody may. A refusal is durable when this returns.
pub(super) fn login(
    session: &Session,
    token: &TokenInfo,
    latch: &Latch,
    pin: &PinPath,
) -> Result<(), HsmError> {
    if !token.login_required() {
        return Ok(());
    }
    if !token.user_pin_initialized() {
        return Err(HsmError::NotInitialised);
    }
    let latched = || HsmError::PinLatched { path: latch.path().to_owned() };
    let unwritable =
        |error| HsmError::unavailable(format!("cannot write {}: {error}", latch.path().display()));
    let standing = latch.standing();
    if standing == Standing::Latched {
        return Err(latched());
    }
    if let Some(warning) = warning(token, standing == Standing::Permitted) {
        latch.close(warning).map_err(unwritable)?;
        return Err(latched());
    }
    let pin = pin::read(pin)?;
    let worked_before = latch.begin(&pin.file).map_err(unwritable)?;
    match attempt(session, UserType::User, &pin) {
        Ok(()) => latch.prove(&pin.file).map_err(unwritable),
        Err(Rejection::Incorrect(reason)) => {
            latch.close(&reason).map_err(unwritable)?;
            Err(HsmError::PinIncorrect)
        }
        Err(Rejection::Locked(reason)) => {
            latch.close(&reason).map_err(unwritable)?;
            Err(latched())
        }
        Err(Rejection::Other(error)) => {
            let acquitted = if worked_before { latch.prove(&pin.file) } else { latch.acquit() };
            acquitted.map_err(unwritable)?;
            Err(error)
        }
    }
}

/// What the token's flags say against another try (PKCS#11 v2.40 section 3.2, CK_TOKEN_INFO).
pub(super) fn warning(token: &TokenInfo, permitted: bool) -> Option<&'static str> {
    if token.user_pin_locked() {
        Some("the token reports CKF_USER_PIN_LOCKED")
    } else if token.user_pin_final_try() {
        Some("the token reports CKF_USER_PIN_FINAL_TRY")
    } else if token.user_pin_count_low() && !permitted {
        Some("the token reports CKF_USER_PIN_COUNT_LOW: a wrong PIN was tried since the last login")
    } else {
        None
    }
}

/// Why C_Login failed.
pub(super) enum Rejection {
    Incorrect(String),
    Locked(String),
    Other(HsmError),
}

/// One C_Login.
pub(super) fn attempt(session: &Session, user: UserType, pin: &Pin) -> Result<(), Rejection> {
    let Err(error) = session.login(user, Some(&AuthPin::from(pin.text.as_str()))) else { return Ok(()) };
    let reason = describe(&error);
    match error {
        Error::Pkcs11(RvError::UserAlreadyLoggedIn, _) => Ok(()),
        Error::Pkcs11(RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange, _) => {
            Err(Rejection::Incorrect(reason))
        }
        Error::Pkcs11(RvError::PinLocked | RvError::PinExpired, _) => Err(Rejection::Locked(reason)),
        Error::Pkcs11(RvError::UserPinNotInitialized, _) => Err(Rejection::Other(HsmError::NotInitialised)),
        _ => Err(Rejection::Other(HsmError::Unavailable { reason })),
    }
}
