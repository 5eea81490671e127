//! Whose fault a PKCS#11 error is. The code alone does not tell: what one module calls an invalid blob is a
//! device error to another.

use cryptoki::context::Function;
use cryptoki::error::{Error, RvError};

use crate::HsmError;

/// Why a request failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// The request's; found before the module was asked.
    Refused(String),
    /// The request's, if the device turns out to be well.
    Suspect(String),
    /// The device's or the session's: this process has to end.
    Device(String),
}

impl From<Fault> for HsmError {
    fn from(fault: Fault) -> HsmError {
        match fault {
            Fault::Refused(reason) | Fault::Suspect(reason) => HsmError::Refused { reason },
            Fault::Device(reason) => HsmError::Unavailable { reason },
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        match error {
            Error::Pkcs11(code, function)
                if names_the_request(code) || judges_foreign_data(function, code) =>
            {
                Fault::Suspect(describe(&error))
            }
            Error::NullFunctionPointer | Error::NotSupported => Fault::Suspect(describe(&error)),
            _ => Fault::Device(describe(&error)),
        }
    }
}

/// Function and CKR code in one short line.
pub(super) fn describe(error: &Error) -> String {
    match error {
        Error::Pkcs11(code, function) => format!("C_{function:?}: {code:?}"),
        other => other.to_string(),
    }
}

/// Whether an optional attribute may be what the module objects to.
pub(super) fn objects_to_attribute(error: &Error) -> bool {
    use RvError::{
        AttributeReadOnly, AttributeTypeInvalid, AttributeValueInvalid, TemplateIncomplete,
        TemplateInconsistent,
    };
    matches!(
        error,
        Error::Pkcs11(
            AttributeReadOnly
                | AttributeTypeInvalid
                | AttributeValueInvalid
                | TemplateIncomplete
                | TemplateInconsistent,
            _
        )
    )
}

fn names_the_request(code: RvError) -> bool {
    use RvError::*;
    matches!(
        code,
        ArgumentsBad
            | AttributeReadOnly
            | AttributeTypeInvalid
            | AttributeValueInvalid
            | DataInvalid
            | DataLenRange
            | EncryptedDataInvalid
            | EncryptedDataLenRange
            | KeyFunctionNotPermitted
            | KeyNotWrappable
            | KeySizeRange
            | KeyTypeInconsistent
            | KeyUnextractable
            | MechanismInvalid
            | MechanismParamInvalid
            | SignatureInvalid
            | TemplateIncomplete
            | TemplateInconsistent
            | WrappedKeyInvalid
            | WrappedKeyLenRange
    )
}

/// Modules report a blob or ciphertext that they cannot authenticate, or a point that is none, with the most
/// general codes.
fn judges_foreign_data(function: Function, code: RvError) -> bool {
    use Function::{Decrypt, DeriveKey, UnwrapKey, Verify, VerifyInit};
    matches!(function, UnwrapKey | Decrypt | DeriveKey | Verify | VerifyInit)
        && matches!(code, RvError::GeneralError | RvError::DeviceError | RvError::FunctionFailed)
}
