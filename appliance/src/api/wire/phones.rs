//! The API's JSON about phones: registrations, and what is registered.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

/// A phone to register.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRegistration {
    /// `combined` for push and OATH in one QR code, `push` or `oath`.
    pub kind: String,
    /// Whether what the user has of the kind ends with it.
    #[serde(default)]
    pub replace: bool,
    /// Language of the text beside the QR code, such as `en-gb`; the user's own by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
}

/// A registration that waits for its phone. The URI holds the secrets and is shown this once.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct BegunRegistration {
    /// 32 hex digits.
    pub id: String,
    /// What the app scans.
    #[schema(value_type = String)]
    pub uri: Zeroizing<String>,
    /// The QR code as an SVG document.
    pub qr_svg: String,
    /// The QR code for a terminal.
    pub qr_text: String,
    /// The operator's text beside it; null for the built-in one.
    pub message: Option<String>,
    /// End of the waiting, RFC 3339.
    pub expires_at: Option<String>,
    /// `waiting`.
    pub state: String,
}

/// A registration.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct Registration {
    /// 32 hex digits.
    pub id: String,
    /// `combined`, `push` or `oath`.
    pub kind: String,
    /// `waiting`, `registered`, `verified`, `timed_out`, `cancelled` or `failed`.
    pub state: String,
    /// `success`, `failure` or `timeout`; null while it waits.
    pub outcome: Option<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// End of the waiting, RFC 3339; null once it is over.
    pub expires_at: Option<String>,
    /// The push half.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push: Option<RegisteredPush>,
    /// The OATH half.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oath: Option<RegisteredOath>,
    /// The recovery codes: in the first answer after the success, and never again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    pub recovery_codes: Option<Vec<Zeroizing<String>>>,
}

/// The push half of a registration.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct RegisteredPush {
    /// The phone; null before it has answered.
    pub device: Option<PushDevice>,
    /// The name that the phone repeats.
    pub message_id: String,
    /// The challenge that shows possession once more; null before it is ordered.
    pub challenge_id: Option<String>,
}

/// The OATH half of a registration.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct RegisteredOath {
    /// The token.
    pub profile: super::Token,
}

/// A registered phone.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct PushDevice {
    /// Serial; `token suspend`, `resume` and `revoke` take it.
    pub serial: String,
    /// What the phone calls itself.
    pub name: String,
    /// `android` or `ios`.
    pub system: String,
    /// `active`, `suspended`, or `pending` as long as an enrolment holds it without effect.
    pub state: String,
    /// Serial of its OATH half; null for push alone.
    pub pair: Option<String>,
    /// Level of assurance.
    pub loa: f64,
    /// RFC 3339.
    pub created_at: String,
    /// The last approval, RFC 3339; null before the first.
    pub used_at: Option<String>,
}

/// A user's phones, and how many recovery codes are left.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Phones {
    /// Those that are not revoked.
    pub items: Vec<PushDevice>,
    /// Null without a set that is good.
    pub recovery_codes_left: Option<usize>,
}

/// The picture that phones show.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Logo {
    /// `image/png` or `image/jpeg`.
    pub kind: String,
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// Size of the file.
    pub bytes: usize,
    /// Of the file, in hexadecimal.
    pub sha256: String,
    /// RFC 3339.
    pub set_at: String,
    /// The address that phones are told: `mfa.logo_url` where it is configured. Null while they are told none.
    pub url: Option<String>,
}
