//! A push on the phone (C.3), and what the person answers (C.4).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::encoding::{inner, jwt, mac, standard, verified};
use crate::{Personality, Phone, Refusal, Request};

/// A push as the app shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Which account it is for.
    pub account: usize,
    /// Its name, to be repeated.
    pub message_id: String,
    /// What the app shows.
    pub text: String,
    /// `default`, `challenge` or `biometric`.
    pub kind: String,
    /// The numbers to choose from.
    pub numbers: Vec<u8>,
    /// Seconds for an answer.
    pub ttl_s: Option<u32>,
    challenge: Vec<u8>,
}

/// What the person does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Yes.
    Approve,
    /// No.
    Deny,
    /// Taps a number.
    Number(u8),
}

impl Phone {
    /// Takes a push. It is found by the claim `u`, and must be signed with that account's key.
    ///
    /// # Errors
    /// [`Refusal`]; nothing is shown.
    pub fn receive(&self, message_id: &str, jwt: &str) -> Result<Notice, Refusal> {
        let claims_of = |account: usize| {
            let push = self.accounts[account].push.as_ref()?;
            verified(self.personality, &push.secret, jwt).map(|text| (account, text))
        };
        let (account, text) = (0..self.accounts.len()).find_map(claims_of).ok_or(Refusal::Signature)?;
        let claims = self.claims(&text)?;
        let get = |name: &str| claims.get(name).map(String::as_str);
        let must = |name: &str| get(name).ok_or_else(|| Refusal::NotUsable(format!("no {name}")));
        if self.accounts[account].push.as_ref().is_none_or(|push| get("u") != Some(push.uid.as_str())) {
            return Err(Refusal::Unknown);
        }
        if self.personality == Personality::IosLegacy {
            must("l")?;
            must("t")?;
        }
        let kind = get("k").unwrap_or("default");
        if !["default", "challenge", "biometric"].contains(&kind) {
            return Err(Refusal::Crash(format!("the push type {kind}")));
        }
        let numbers = match get("n") {
            Some(text) if kind == "challenge" => text.split(',').map(|n| n.trim().parse()).collect(),
            _ => Ok(Vec::new()),
        };
        Ok(Notice {
            account,
            message_id: message_id.to_owned(),
            text: get("m").unwrap_or_default().to_owned(),
            kind: kind.to_owned(),
            numbers: numbers.map_err(|_| Refusal::NotUsable("the numbers are none".to_owned()))?,
            ttl_s: get("t").and_then(|text| text.parse().ok()),
            challenge: inner(must("c")?)
                .ok_or_else(|| Refusal::NotUsable("the challenge is none".to_owned()))?,
        })
    }

    /// The claims in the SDK's way.
    fn claims(&self, text: &str) -> Result<BTreeMap<String, String>, Refusal> {
        if self.personality == Personality::PingNew {
            return Ok(without_escapes(text));
        }
        let Ok(Value::Object(members)) = serde_json::from_str(text) else {
            return Err(Refusal::NotUsable("the claims are no JSON object".to_owned()));
        };
        let mut claims = BTreeMap::new();
        for (name, value) in members {
            match value {
                Value::String(text) => drop(claims.insert(name, text)),
                // A cast to String (C.3, b).
                _ if self.personality == Personality::AndroidLegacy => {
                    return Err(Refusal::Crash(format!("{name} is no string")));
                }
                other => drop(claims.insert(name, other.to_string())),
            }
        }
        Ok(claims)
    }

    /// What the app sends for the person's answer (C.4).
    ///
    /// # Panics
    /// When the account has no push.
    pub fn respond(&self, notice: &Notice, choice: Choice) -> Request {
        let push = self.accounts[notice.account].push.as_ref().expect("an account with push");
        let response = standard(&mac(&push.secret, &notice.challenge));
        let mut claims = vec![("response", json!(response))];
        match choice {
            Choice::Approve => {}
            Choice::Deny => claims.push(("deny", json!(true))),
            Choice::Number(number) => claims.push(("challengeResponse", json!(number.to_string()))),
        }
        let body =
            json!({ "messageId": notice.message_id, "jwt": jwt(self.personality, &push.secret, &claims) });
        self.post(push.authenticate.clone(), push, body)
    }
}

/// Ping's reader strips quotation marks and undoes no escape (C.3, c): a value ends at the next bare quotation mark, and
/// what looks like a number or a truth value becomes one, which no text is then.
fn without_escapes(text: &str) -> BTreeMap<String, String> {
    let mut claims = BTreeMap::new();
    let mut rest = text.trim_start_matches('{');
    while let Some((name, after)) = rest.split_once("\":\"") {
        let mut end = 0;
        let bytes = after.as_bytes();
        while end < bytes.len() && (bytes[end] != b'"' || (end > 0 && bytes[end - 1] == b'\\')) {
            end += 1;
        }
        let (name, value) = (name.trim_matches(|c| c == '"' || c == ','), &after[..end]);
        let scalar = value.parse::<f64>().is_ok() || ["true", "false", "null"].contains(&value);
        // Only the text is asked for as text; the others are asked for as what they became.
        if !(name == "m" && scalar) {
            claims.insert(name.to_owned(), value.to_owned());
        }
        rest = after.get(end + 1..).unwrap_or_default();
    }
    claims
}
