//! What carries a push into the app: the data that the host app looks for (C.3).

use serde_json::Value;

use crate::Personality;

/// A message as the host app hands it to the SDK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// Its name.
    pub message_id: String,
    /// The signed message.
    pub jwt: String,
}

impl Delivered {
    /// Reads one envelope in the personality's way: Android's host app looks for `message`, that of iOS for `data`,
    /// inside `aps` where there is one. None if the keys are not there.
    pub fn read(personality: Personality, envelope: &Value) -> Option<Self> {
        let (data, key) = match personality {
            Personality::IosLegacy => (envelope.get("aps").unwrap_or(envelope), "data"),
            Personality::AndroidLegacy | Personality::PingNew => (envelope, "message"),
        };
        let text = |name: &str| data.get(name).and_then(Value::as_str).map(str::to_owned);
        Some(Delivered { message_id: text("messageId")?, jwt: text(key)? })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// C.3. Red when a personality finds its message under another's key.
    #[test]
    fn each_host_app_looks_under_its_own_keys() {
        let flat = json!({ "messageId": "A", "message": "m", "data": "d" });
        let nested = json!({ "aps": { "messageId": "A", "data": "d" } });
        for personality in Personality::ALL {
            let ios = personality == Personality::IosLegacy;
            let jwt = if ios { "d" } else { "m" }.to_owned();
            let found = Delivered::read(personality, &flat).unwrap();
            assert_eq!(found, Delivered { message_id: "A".to_owned(), jwt });
            assert_eq!(Delivered::read(personality, &nested).is_some(), ios);
            assert_eq!(
                Delivered::read(personality, &json!({ "messageId": "A", "message": 1, "data": 1 })),
                None
            );
        }
    }
}
