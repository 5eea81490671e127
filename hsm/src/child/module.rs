//! Loading the vendor's library and finding a token in it.

use std::path::Path;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::slot::{Slot, TokenInfo};

use super::fault::describe;
use crate::HsmError;

/// A token that is present.
pub(super) struct Present {
    pub(super) slot: Slot,
    pub(super) token: TokenInfo,
}

/// Loads and initialises the library at `path`.
pub(super) fn load(path: &Path) -> Result<Pkcs11, HsmError> {
    if !path.exists() {
        return Err(HsmError::ModuleMissing { path: path.to_owned() });
    }
    let unusable = |error| HsmError::ModuleUnusable { reason: describe(&error) };
    let pkcs11 = Pkcs11::new(path).map_err(unusable)?;
    pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).map_err(unusable)?;
    Ok(pkcs11)
}

/// Every token present. One whose C_GetTokenInfo cannot be understood is left out.
pub(super) fn tokens(pkcs11: &Pkcs11) -> Result<Vec<Present>, HsmError> {
    let slots = pkcs11
        .get_slots_with_token()
        .map_err(|error| HsmError::ModuleUnusable { reason: describe(&error) })?;
    let present = |slot| pkcs11.get_token_info(slot).ok().map(|token| Present { slot, token });
    Ok(slots.into_iter().filter_map(present).collect())
}

/// The initialised token with this label.
pub(super) fn find(pkcs11: &Pkcs11, label: &str) -> Result<Present, HsmError> {
    let mut available = Vec::new();
    for present in tokens(pkcs11)? {
        if !present.token.token_initialized() {
            continue;
        }
        if present.token.label() == label {
            return Ok(present);
        }
        available.push(present.token.label().to_owned());
    }
    Err(HsmError::TokenMissing { label: label.to_owned(), available })
}
