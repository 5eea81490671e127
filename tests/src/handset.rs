//! A phone in somebody's hand: the simulated app, and the way by which it reaches an appliance. Messages are fetched.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

use crate::appliance::Appliance;
use crate::device::encoding::mac;
use crate::device::{Choice, Notice, Personality, Phone, Request};
use crate::http::{Answer, Client};
use crate::time::{PATIENCE, unix_ms, wait_until};

/// The body of every refusal (C.2).
pub const REFUSED: &str = r#"{"code":400,"reason":"Bad Request","message":"Bad request."}"#;

/// Looks for a push soon after one another, and their pause.
const QUICK_LOOKS: u32 = 5;
const QUICK_PAUSE: Duration = Duration::from_millis(20);
/// Pause of the later ones: a phone may ask once a second.
const PAUSE: Duration = Duration::from_millis(1_100);

/// A phone that fetches its messages.
pub struct Handset {
    /// The app.
    pub phone: Phone,
    client: Client,
}

impl Handset {
    /// A new phone before an appliance.
    pub fn new(rig: &Appliance, personality: Personality, queue: &str) -> Handset {
        Handset { phone: Phone::new(personality, &format!("poll:{queue}")), client: rig.loopback(None) }
    }

    /// The same phone before an appliance that was started again.
    pub fn again(&mut self, rig: &Appliance) {
        self.client = rig.loopback(None);
    }

    /// Sends what the app wants sent.
    ///
    /// # Panics
    /// When no answer comes.
    #[track_caller]
    pub fn send(&mut self, request: &Request) -> Answer {
        let path = request.url.splitn(4, '/').nth(3).expect("an absolute address");
        let body = Some(request.body.as_bytes());
        self.client.send("POST", &format!("/{path}"), body).expect("an answer")
    }

    /// Scans a code and registers: which account it is, and what the appliance said.
    ///
    /// # Panics
    /// When the app does not take the code.
    #[track_caller]
    pub fn register(&mut self, uri: &str) -> (usize, Answer) {
        let scanned = self.phone.scan(uri).expect("the app takes the code");
        let request = scanned.request.expect("a code with push");
        let answer = self.send(&request);
        self.phone.answered(scanned.account, answer.status, &answer.text());
        (scanned.account, answer)
    }

    /// The query of a fetch at some time, with a key that need not be right.
    pub fn query(&self, account: usize, key: &[u8], unix_ms: u64) -> String {
        let uid = &self.phone.accounts()[account].push.as_ref().expect("push").uid;
        let signature = BASE64URL_NOPAD.encode(&mac(key, format!("{uid}|{unix_ms}").as_bytes()));
        format!("/json/push/poll?mechanismUid={uid}&timestamp={unix_ms}&signature={signature}")
    }

    /// What a fetch by a query says.
    ///
    /// # Panics
    /// When no answer comes.
    pub fn get(&mut self, query: &str) -> Answer {
        self.client.get(query)
    }

    /// The messages that wait.
    ///
    /// # Panics
    /// When they are not told.
    #[track_caller]
    pub fn messages(&mut self, account: usize) -> Vec<Value> {
        let secret = self.phone.accounts()[account].push.as_ref().expect("push").secret.clone();
        let query = self.query(account, &secret, unix_ms());
        let told = self.client.get(&query).expect(200).json();
        told["messages"].as_array().expect("a list").clone()
    }

    /// Waits for a push and shows it.
    ///
    /// # Panics
    /// When none comes, or the app does not show it.
    #[track_caller]
    pub fn notice(&mut self, account: usize) -> Notice {
        let mut looks = 0;
        let message = wait_until(PATIENCE, "a push", || {
            let found = self.messages(account).pop();
            if found.is_none() {
                looks += 1;
                std::thread::park_timeout(if looks <= QUICK_LOOKS { QUICK_PAUSE } else { PAUSE });
            }
            found
        });
        let text = |name: &str| message[name].as_str().expect("a text").to_owned();
        assert_eq!(message["message"], message["data"], "one shim for both systems");
        self.phone.receive(&text("messageId"), &text("message")).expect("the app shows it")
    }

    /// Answers a push.
    #[track_caller]
    pub fn answer(&mut self, notice: &Notice, choice: Choice) -> Answer {
        let request = self.phone.respond(notice, choice);
        self.send(&request)
    }
}

/// A user with a registered phone.
pub struct Registered {
    /// The phone.
    pub handset: Handset,
    /// Which of its accounts.
    pub account: usize,
    /// The handle of the registration.
    pub id: String,
    /// The URI that was scanned.
    pub uri: String,
    /// The registration's answer after its success.
    pub shown: Value,
}

/// Begins a registration.
///
/// # Panics
/// When it is refused.
#[track_caller]
pub fn begin(client: &mut Client, user: &str, kind: &str) -> Value {
    client.post(&format!("/v1/users/{user}/registrations"), &json!({"kind": kind})).expect(201).json()
}

/// Registers a phone for a user who is there.
///
/// # Panics
/// When it is refused.
#[track_caller]
pub fn register(
    rig: &Appliance,
    client: &mut Client,
    user: &str,
    (kind, personality): (&str, Personality),
) -> Registered {
    let begun = begin(client, user, kind);
    let text = |name: &str| begun[name].as_str().expect("a text").to_owned();
    let (id, uri) = (text("id"), text("uri"));
    let mut handset = Handset::new(rig, personality, user);
    let (account, answer) = handset.register(&uri);
    assert_eq!((answer.status, answer.text().as_str()), (200, "{}"), "{personality:?}");
    let shown = client.get(&format!("/v1/users/{user}/registrations/{id}?wait=20")).expect(200).json();
    Registered { handset, account, id, uri, shown }
}
