//! The API's JSON about accounts: what a user can log in with, and what operators change about it.

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::Token;

/// What a user can log in with.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Methods {
    /// Name of the user.
    pub user: String,
    /// The method in use: `PASSWORD`, `SMS`, `OATH_OTP`, `PUSH` or `HW_TOKEN`.
    pub active: String,
    /// The method to move to; null for none.
    pub next: Option<String>,
    /// Whether a local password is set.
    pub password: bool,
    /// Whether an e-mail address is known.
    pub email: bool,
    /// Whether a postal address is known.
    pub address: bool,
    /// The number that is bound; null for none.
    pub phone: Option<BoundPhone>,
    /// Living OATH accounts: tokens of class soft.
    pub oath: Vec<Token>,
    /// Living hardware tokens.
    pub hardware: Vec<Token>,
    /// Open letters.
    pub letters: Vec<LetterState>,
}

/// A number that is bound to a user.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct BoundPhone {
    /// Its last digits.
    pub masked: String,
    /// The number; null unless the configuration shows it to operators.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    /// `verified` or `suspended`.
    pub state: String,
    /// `operator`, `application`, `self_registration`, `desk` or `change`.
    pub source: String,
    /// Level of assurance.
    pub loa: f64,
    /// RFC 3339.
    pub registered_at: String,
}

/// Where an open letter stands.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct LetterState {
    /// The handle.
    pub id: String,
    /// `sms-iak` or `oath`.
    pub kind: String,
    /// `ordered`, `rendered` or `delivered`.
    pub state: String,
    /// `post` or `hand`.
    pub delivery: String,
    /// RFC 3339.
    pub ordered_at: String,
    /// RFC 3339; null before it is typeset.
    pub valid_until: Option<String>,
}

/// Methods to set; what is left out stays.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MethodChange {
    /// The method in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<String>,
    /// The method to move to; null for none.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub next: Option<Option<String>>,
}

/// Tells a null from a field that is left out.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::<String>::deserialize(deserializer).map(Some)
}

/// A password to set.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPassword {
    /// 8 to 256 characters.
    #[schema(value_type = String)]
    pub password: Zeroizing<String>,
}

/// An e-mail address to set.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewEmail {
    /// The address.
    pub email: String,
}

/// A postal address to set.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAddress {
    /// At most 6 lines of 1 to 60 characters.
    pub lines: Vec<String>,
}

/// A language to set.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewLang {
    /// Language tag (RFC 5646).
    pub lang: String,
}

/// The OATH accounts of a user.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct OathAccounts {
    /// Name of the user.
    pub user: String,
    /// Living tokens of class soft.
    pub accounts: Vec<OathAccount>,
    /// How many a user may have.
    pub quota: u32,
    /// The open letter; null for none.
    pub letter: Option<LetterState>,
}

/// An OATH account.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct OathAccount {
    /// Its token.
    pub token: Token,
    /// Whether its secret can be shown again: to the user on the pages, in a letter, to operators who may.
    pub revealable: bool,
}

/// An OATH account to make.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewOath {
    /// The letter that is ordered with it: `post`, `hand`, or null for what the configuration says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub letter: Option<String>,
}

/// An OATH account just made. Its secret is not shown here.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct MadeOath {
    /// Serial of its token.
    pub serial: String,
    /// Serials of the accounts that ended with it.
    pub ended: Vec<String>,
    /// The letter that was ordered; null for none.
    pub letter: Option<LetterState>,
}

/// OATH accounts that were ended.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct EndedOath {
    /// Serials of their tokens.
    pub ended: Vec<String>,
}

/// A secret that an operator sees.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct ShownSecret {
    /// Serial of the token.
    pub serial: String,
    /// `qr`, `hex` or `base32`.
    pub format: String,
    /// The secret in hex or Base32; null for `qr`.
    #[schema(value_type = Option<String>)]
    pub secret: Option<Zeroizing<String>>,
    /// The code as an SVG document; null unless `qr`.
    #[schema(value_type = Option<String>)]
    pub qr_svg: Option<Zeroizing<String>>,
    /// The code for a terminal; null unless `qr`.
    #[schema(value_type = Option<String>)]
    pub qr_text: Option<Zeroizing<String>>,
}
