//! Users, tokens, phones and applications on an appliance, made through its API.

use serde_json::{Value, json};

use crate::appliance::Appliance;
use crate::http::Client;
use crate::judge::Secret;

/// A token that was just enrolled.
#[derive(Clone, Debug)]
pub struct Enrolled {
    /// Its serial.
    pub serial: String,
    /// Its secret, as the URI told it.
    pub secret: Secret,
}

impl Appliance {
    /// Adds a user.
    ///
    /// # Panics
    /// When it is refused.
    #[track_caller]
    pub fn user(&self, name: &str) {
        self.admin().post("/v1/users", &json!({"name": name})).expect(201);
    }

    /// Binds a verified phone to a user.
    ///
    /// # Panics
    /// When it is refused.
    #[track_caller]
    pub fn phone(&self, name: &str, number: &str) {
        self.admin().put(&format!("/v1/users/{name}/phone"), &json!({"number": number})).expect(200);
    }

    /// Enrols a token; `fields` as in `POST /v1/users/{name}/tokens`.
    ///
    /// # Panics
    /// When it is refused.
    #[track_caller]
    pub fn token(&self, name: &str, fields: &Value) -> Enrolled {
        enrol(&mut self.admin(), name, fields)
    }

    /// Adds a user with one TOTP token.
    #[track_caller]
    pub fn totp_user(&self, name: &str) -> Enrolled {
        self.user(name);
        self.token(name, &json!({"type": "totp"}))
    }

    /// Adds a user with one HOTP token.
    #[track_caller]
    pub fn hotp_user(&self, name: &str) -> Enrolled {
        self.user(name);
        self.token(name, &json!({"type": "hotp"}))
    }

    /// Adds an application and gives its key.
    ///
    /// # Panics
    /// When it is refused.
    #[track_caller]
    pub fn app_key(&self, name: &str, scopes: &[&str]) -> String {
        let added =
            self.admin().post("/v1/applications", &json!({"name": name, "scopes": scopes})).expect(201);
        added.json()["key"].as_str().expect("the key").to_owned()
    }

    /// A user's row as the API shows it.
    #[track_caller]
    pub fn show_user(&self, name: &str) -> Value {
        self.admin().get(&format!("/v1/users/{name}")).expect(200).json()
    }

    /// A token's row as the API shows it.
    #[track_caller]
    pub fn show_token(&self, serial: &str) -> Value {
        self.admin().get(&format!("/v1/tokens/{serial}")).expect(200).json()
    }

    /// Forgets the wrong codes of a user.
    #[track_caller]
    pub fn unlock_user(&self, name: &str) {
        self.admin().post(&format!("/v1/users/{name}/unlock"), &json!({})).expect(200);
    }

    /// Suspends, resumes, revokes or unlocks a token.
    #[track_caller]
    pub fn change_token(&self, serial: &str, change: &str) {
        self.admin().post(&format!("/v1/tokens/{serial}/{change}"), &json!({})).expect(200);
    }

    /// All events that fit a query such as `type=oath&user=alice`, in order.
    ///
    /// # Panics
    /// When they are refused.
    #[track_caller]
    pub fn events(&self, query: &str) -> Vec<Value> {
        let mut admin = self.admin();
        let mut events: Vec<Value> = Vec::new();
        loop {
            let after = events.last().and_then(|event| event["seq"].as_i64()).unwrap_or(0);
            let page = admin.get(&format!("/v1/events?after={after}&limit=1000&{query}")).expect(200).json();
            let items = page["items"].as_array().expect("a list").clone();
            let more = !page["next"].is_null();
            events.extend(items);
            if !more {
                return events;
            }
        }
    }

    /// The reasons of a user's refused events so far, in order.
    pub fn reasons(&self, user: &str) -> Vec<String> {
        let refused = self.events(&format!("user={user}")).into_iter().filter(|e| e["outcome"] == "refused");
        refused.map(|event| event["reason"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Walks the chain of events, by its links as the API shows them and by its hashes as `audit verify` does;
    /// returns how many there are.
    ///
    /// # Panics
    /// At the first event that does not follow from the one before.
    pub fn check_chain(&self) -> usize {
        let events = self.events("");
        let mut before = "0".repeat(64);
        for (n, event) in events.iter().enumerate() {
            assert_eq!(event["seq"], n + 1, "a gap in the chain");
            assert_eq!(event["prev_hash"], before, "event {} does not follow", n + 1);
            before = event["hash"].as_str().expect("a hash").to_owned();
        }
        let walked = self.cli_json(&["audit", "verify"]);
        assert_eq!(walked["intact"], true, "{walked}");
        assert!(walked["seq"].as_u64() >= u64::try_from(events.len()).ok(), "{walked}");
        events.len()
    }
}

/// Enrols a token through a client that may.
///
/// # Panics
/// When it is refused.
#[track_caller]
pub fn enrol(client: &mut Client, name: &str, fields: &Value) -> Enrolled {
    let added = client.post(&format!("/v1/users/{name}/tokens"), fields).expect(201).json();
    Enrolled {
        serial: added["serial"].as_str().expect("a serial").to_owned(),
        secret: Secret::of_uri(added["otpauth_uri"].as_str().expect("a URI")),
    }
}
