//! Making a token ready: C_InitToken, C_InitPIN and the long-term keys, each only where it is missing, so
//! that a run that was cut off can be repeated.

use cryptoki::context::Pkcs11;
use cryptoki::error::{Error, RvError};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::TokenInfo;
use cryptoki::types::AuthPin;

use super::fault::{Fault, describe};
use super::keys::Keys;
use super::login::{self, Rejection};
use super::module::{self, Present};
use super::pairs::{self, Pairs};
use super::selftest;
use super::token::Token;
use crate::HsmError;
use crate::pin::{self, Pin};
use crate::types::{CODE_MAX, Info};
use crate::wire::Initialise;

/// CK_TOKEN_INFO's label, in bytes.
const LABEL_MAX: usize = 32;

pub(super) fn initialise(request: &Initialise) -> Result<Info, HsmError> {
    let label = request.token_label.as_str();
    if label.is_empty() || label.len() > LABEL_MAX || label.trim() != label {
        return Err(HsmError::refused(format!(
            "a token label has 1 to {LABEL_MAX} bytes and no blank at an end"
        )));
    }
    let pkcs11 = module::load(&request.module)?;
    let so_pin = pin::read(&request.so_pin)?;
    let user_pin = pin::read(&request.pin)?;
    let mut present = match module::find(&pkcs11, label) {
        Ok(present) => present,
        Err(HsmError::TokenMissing { available, .. }) => {
            let blank = blank(&pkcs11, request.slot, label, available)?;
            pkcs11.init_token(blank.slot, &secret(&so_pin), label).map_err(failed)?;
            module::find(&pkcs11, label)?
        }
        Err(error) => return Err(error),
    };
    if !present.token.user_pin_initialized() {
        set_user_pin(&pkcs11, &present, &so_pin, &user_pin)?;
        present = module::find(&pkcs11, label)?;
    }
    let session = log_in(&pkcs11, &present, &user_pin)?;
    let mut made = Keys::find(&session)?.complete(&session)?;
    if pairs::possible(&selftest::listed(&pkcs11, &session)?) {
        made |= Pairs::find(&session)?.complete(&session)?;
    }
    if !made {
        return Err(HsmError::refused(format!(
            "token {label:?} holds all its keys already; nothing was changed"
        )));
    }
    let module = request.module.display().to_string();
    let token = Token::examine(pkcs11, session, module, label, no_code)?;
    let info = token.info().clone();
    token.close();
    Ok(info)
}

/// The uninitialised token to take.
fn blank(
    pkcs11: &Pkcs11,
    slot: Option<u64>,
    label: &str,
    available: Vec<String>,
) -> Result<Present, HsmError> {
    let mut tokens = module::tokens(pkcs11)?.into_iter();
    match slot {
        None => tokens
            .find(|present| !present.token.token_initialized())
            .ok_or(HsmError::TokenMissing { label: label.to_owned(), available }),
        Some(id) => {
            let present = tokens
                .find(|present| present.slot.id() == id)
                .ok_or_else(|| HsmError::refused(format!("slot {id} holds no token")))?;
            if present.token.token_initialized() {
                let other = present.token.label();
                return Err(HsmError::refused(format!("slot {id} holds the token {other:?} already")));
            }
            Ok(present)
        }
    }
}

fn set_user_pin(pkcs11: &Pkcs11, present: &Present, so_pin: &Pin, user_pin: &Pin) -> Result<(), HsmError> {
    if present.token.so_pin_locked() || present.token.so_pin_final_try() {
        return Err(HsmError::refused(
            "the token reports that the security officer's PIN is at its last try",
        ));
    }
    let session = pkcs11.open_rw_session(present.slot).map_err(failed)?;
    login::attempt(&session, UserType::So, so_pin).map_err(rejected)?;
    session.init_pin(&secret(user_pin)).map_err(failed)?;
    session.logout().map_err(failed)
}

fn log_in(pkcs11: &Pkcs11, present: &Present, pin: &Pin) -> Result<Session, HsmError> {
    let session = pkcs11.open_rw_session(present.slot).map_err(failed)?;
    if TokenInfo::login_required(&present.token) {
        if let Some(warning) = login::warning(&present.token, true) {
            return Err(HsmError::refused(warning));
        }
        login::attempt(&session, UserType::User, pin).map_err(rejected)?;
    }
    Ok(session)
}

fn secret(pin: &Pin) -> AuthPin {
    AuthPin::from(pin.text.as_str())
}

fn rejected(rejection: Rejection) -> HsmError {
    match rejection {
        Rejection::Incorrect(_) => HsmError::PinIncorrect,
        Rejection::Locked(reason) => HsmError::refused(reason),
        Rejection::Other(error) => error,
    }
}

fn failed(error: Error) -> HsmError {
    match error {
        Error::Pkcs11(RvError::PinIncorrect, _) => HsmError::PinIncorrect,
        Error::Pkcs11(RvError::PinInvalid | RvError::PinLenRange | RvError::PinTooWeak, _) => {
            HsmError::refused(format!("the token does not take this PIN: {}", describe(&error)))
        }
        error => Fault::from(error).into(),
    }
}

/// Nothing is rendered while a token is made.
fn no_code(_: &[u8], _: &[u8], _: &mut [u8; CODE_MAX]) -> Option<usize> {
    None
}
