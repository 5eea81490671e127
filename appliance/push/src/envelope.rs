//! What carries a push message to the phone (C.3): the keys that the SDKs' host apps look for.

use serde::Serialize;
use thiserror::Error;

use crate::message_id::MessageId;
use crate::message_text::MessageText;

/// Most clear text that one Web Push message takes, in bytes: a record of 4096 less header, tag and delimiter (C.3, d).
pub const CLEAR_MAX: usize = 3_993;

/// The message is larger than what can be sent.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the push message has {0} bytes, more than {CLEAR_MAX}")]
pub struct TooLarge(pub usize);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    message: &'a str,
    message_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a str>,
}

#[derive(Serialize)]
struct Apns<'a> {
    aps: Aps<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Aps<'a> {
    alert: &'a str,
    sound: &'static str,
    category: &'static str,
    message_id: &'a str,
    data: &'a str,
    #[serde(rename = "content-available")]
    content_available: u8,
    #[serde(rename = "mutable-content")]
    mutable_content: u8,
    #[serde(rename = "interruption-level")]
    interruption_level: &'static str,
}

fn checked(value: &impl Serialize) -> Result<String, TooLarge> {
    let text = serde_json::to_string(value).expect("strings under names are JSON");
    if text.len() <= CLEAR_MAX { Ok(text) } else { Err(TooLarge(text.len())) }
}

/// For UnifiedPush, ntfy and polling: the data of FCM, and the value that iOS apps look for under `data`, so that one
/// shim in the host app fits both.
///
/// # Errors
/// [`TooLarge`]: the message stands in it twice.
pub fn unified(jwt: &str, id: &MessageId) -> Result<String, TooLarge> {
    checked(&Data { message: jwt, message_id: id.as_str(), data: Some(jwt) })
}

/// The data of an FCM message.
///
/// # Errors
/// [`TooLarge`].
pub fn fcm(jwt: &str, id: &MessageId) -> Result<String, TooLarge> {
    checked(&Data { message: jwt, message_id: id.as_str(), data: None })
}

/// The payload of an APNs notification.
///
/// # Errors
/// [`TooLarge`].
pub fn apns(jwt: &str, id: &MessageId, alert: &MessageText) -> Result<String, TooLarge> {
    checked(&Apns {
        aps: Aps {
            alert: alert.as_str(),
            sound: "default",
            category: "authentication",
            message_id: id.as_str(),
            data: jwt,
            content_available: 1,
            mutable_content: 1,
            interruption_level: "time-sensitive",
        },
    })
}
