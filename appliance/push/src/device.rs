//! What a phone says of itself (C.2, C.5).

use crate::jws::{Claims, Refused};
use crate::message_id::is_uuid;

/// Longest push address, in bytes: an endpoint of 1000 (UnifiedPush) and the keys behind it.
pub const ADDRESS_MAX: usize = 2_048;
/// Longest name of a phone, in characters.
pub const NAME_MAX: usize = 128;

/// The id that an app chose for its half of the secret: a UUID in the app's own spelling, which it wants repeated.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MechanismUid(String);

impl MechanismUid {
    /// Checks an id; none for what is no UUID.
    pub fn parse(text: &str) -> Option<Self> {
        is_uuid(text).then(|| MechanismUid(text.to_owned()))
    }

    /// The id in the app's spelling.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a phone runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// `android`.
    Android,
    /// `ios`.
    Ios,
}

/// The service that a phone believes to be reached by; the shape of the address decides (C.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// `gcm`.
    Gcm,
    /// `apns`.
    Apns,
}

/// How a phone can be reached, and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// The push address, as the app gave it: 1 to [`ADDRESS_MAX`] bytes.
    pub address: String,
    /// A name for people: at most [`NAME_MAX`] characters.
    pub name: String,
    /// What it runs.
    pub system: System,
    /// What it is reached by.
    pub service: Service,
}

impl Device {
    pub(crate) fn of(claims: &Claims) -> Result<Self, Refused> {
        let address = claims.text("deviceId")?;
        let graphic = address.bytes().all(|byte| byte.is_ascii_graphic());
        if address.is_empty() || address.len() > ADDRESS_MAX || !graphic {
            return Err(Refused::Value("deviceId"));
        }
        let name = claims.text("deviceName")?;
        if name.chars().count() > NAME_MAX || name.chars().any(char::is_control) {
            return Err(Refused::Value("deviceName"));
        }
        Ok(Device {
            address: address.to_owned(),
            name: name.to_owned(),
            system: match claims.text("deviceType")? {
                "android" => System::Android,
                "ios" => System::Ios,
                _ => return Err(Refused::Value("deviceType")),
            },
            service: match claims.text("communicationType")? {
                "gcm" => Service::Gcm,
                "apns" => Service::Apns,
                _ => return Err(Refused::Value("communicationType")),
            },
        })
    }
}
