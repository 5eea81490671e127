//! A flow as an application takes its user through it, over the API.

use serde_json::{Value, json};

use crate::appliance::workspace;
use crate::http::{Answer, Client};

/// The scopes of an application that begins flows for users whom it knows.
pub const SCOPES: [&str; 4] = ["challenge", "user:assert", "phone:assert", "backchannel"];

/// An example configuration that is shipped, such as `flows/oath`.
///
/// # Panics
/// When there is none of that name.
pub fn example(name: &str) -> String {
    let path = workspace().join(format!("docs/examples/{name}.toml"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A flow under way.
pub struct Flow {
    client: Client,
    /// What it asks now, as the API says.
    pub now: Value,
    /// The answer to the last act.
    pub last: Answer,
}

impl Flow {
    /// Begins a flow, whether it can begin or not.
    ///
    /// # Panics
    /// When the answer carries no flow.
    #[track_caller]
    pub fn start(mut client: Client, body: &Value) -> Flow {
        let last = client.post("/v1/flows", body);
        let now = flow_of(&last).unwrap_or_else(|| panic!("{} {}", last.status, last.text()));
        Flow { client, now, last }
    }

    /// Begins a flow for a user whose first factor the application has checked.
    #[track_caller]
    pub fn of(client: Client, flow: &str, user: &str) -> Flow {
        Flow::start(client, &json!({"flow": flow, "user": user}))
    }

    /// The handle.
    pub fn id(&self) -> &str {
        self.now["flow"].as_str().expect("a handle")
    }

    /// What is asked.
    pub fn step(&self) -> &str {
        self.now["step"].as_str().expect("a step")
    }

    /// Asserts what is asked.
    ///
    /// # Panics
    /// When it is something else.
    #[track_caller]
    pub fn wants(&self, step: &str) -> &Value {
        assert_eq!(self.step(), step, "{}", self.now);
        &self.now
    }

    /// Answers.
    #[track_caller]
    pub fn act(&mut self, action: &str, body: &Value) -> Answer {
        let path = format!("/v1/flows/{}/{action}", self.id());
        self.last = self.client.post(&path, body);
        if let Some(now) = flow_of(&self.last) {
            self.now = now;
        }
        self.last.clone()
    }

    /// Answers, and expects another question or the end.
    #[track_caller]
    pub fn go(&mut self, action: &str, body: &Value) {
        let answer = self.act(action, body);
        assert_eq!(answer.status, 200, "{action}: {}", answer.text());
    }

    /// Answers, and expects this error.
    #[track_caller]
    pub fn wrong(&mut self, action: &str, body: &Value, key: &str) -> Answer {
        let answer = self.act(action, body);
        assert!(answer.status >= 400, "{action}: {}", answer.text());
        assert_eq!(answer.code(), key, "{}", answer.text());
        answer
    }

    /// Sends a code as the answer.
    #[track_caller]
    pub fn code(&mut self, otp: &str) {
        self.go("verify", &json!({"otp": otp}));
    }

    /// Looks again, whether it is still there or not.
    #[track_caller]
    pub fn again(&mut self) -> Answer {
        let path = format!("/v1/flows/{}", self.id());
        self.client.get(&path)
    }

    /// Looks again, without an answer.
    #[track_caller]
    pub fn look(&mut self) -> &Value {
        self.now = self.again().expect(200).json();
        &self.now
    }

    /// Who ended it well, and how.
    ///
    /// # Panics
    /// When it has not.
    #[track_caller]
    pub fn result(&self) -> &Value {
        self.wants("done");
        assert!(self.now["result"].is_object(), "{}", self.now);
        &self.now["result"]
    }

    /// The client, for other requests of the same application.
    pub fn client(&mut self) -> &mut Client {
        &mut self.client
    }
}

fn flow_of(answer: &Answer) -> Option<Value> {
    let body: Value = serde_json::from_slice(&answer.body).ok()?;
    if body["flow"].is_object() {
        return Some(body["flow"].clone());
    }
    body["flow"].is_string().then_some(body)
}
