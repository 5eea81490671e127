//! The API's JSON about activation letters. No key is in it, and no secret.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A letter to order.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewLetter {
    /// Name of the user.
    pub user: String,
    /// `sms-iak` or `oath`.
    pub kind: String,
    /// `post`, which needs an address, or `hand`; `post` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<String>,
    /// For this letter alone, a line each, the name first, at most 6 of 60 characters; else the user's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// `now` to have it typeset at once, whatever the gap between two letters; an order of the kind that waits is
    /// typeset in its place, unless `delivery` or `address` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generate: Option<String>,
}

/// A letter.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Letter {
    /// Its number, which is also on the paper.
    pub id: String,
    /// Name of the user.
    pub user: String,
    /// `sms-iak` or `oath`.
    pub kind: String,
    /// `ordered`, `rendered`, `delivered`, `consumed`, `expired`, `burnt`, `cancelled`, `superseded` or `failed`.
    pub state: String,
    /// `post` or `hand`.
    pub delivery: String,
    /// Language tag.
    pub lang: String,
    /// Serial of the token whose QR code it shows.
    pub token: Option<String>,
    /// Who ordered it.
    pub ordered_by: String,
    /// RFC 3339.
    pub ordered_at: String,
    /// RFC 3339.
    pub rendered_at: Option<String>,
    /// RFC 3339; null before it is typeset.
    pub valid_until: Option<String>,
    /// Renderings that failed; the third gives it up.
    pub renders_failed: u32,
    /// Wrong keys so far.
    pub attempts: u32,
    /// Who posted it or handed it over.
    pub handed_over_by: Option<String>,
    /// RFC 3339.
    pub handed_over_at: Option<String>,
    /// The file, while it is there.
    pub path: Option<String>,
    /// Pages of the file.
    pub pages: Option<u32>,
}

/// That a letter was posted or handed over.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HandOver {
    /// Who did it; the caller by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// A batch of letters to typeset.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRun {
    /// `sms-iak` or `oath`.
    pub kind: String,
    /// The `next` of the batch before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// What a batch came to.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct LetterRun {
    /// Letters that are typeset now.
    pub rendered: Vec<String>,
    /// Letters that could not be; their events say why.
    pub failed: u64,
    /// Letters to users who got one less than `letters.delivery_gap` ago: they wait.
    pub held: u64,
    /// Letters that are due and not done yet.
    pub left: u64,
    /// What to go on after; null when nothing is left.
    pub next: Option<String>,
}
