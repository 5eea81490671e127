//! An enrolment through one client: a factor is asked for, made or registered, and shown.

use serde_json::{Value, json};

use crate::appliance::Appliance;
use crate::desk::request;
use crate::device::Choice;
use crate::handset::Handset;
use crate::http::{Answer, Client};
use crate::judge::Secret;
use crate::time::unix_s;

/// A document as it should be.
pub fn proof() -> Value {
    json!({
        "kind": "id_document", "document": "passport", "country": "CH", "last6": "1", "not_expired": true,
        "name_match": true, "photo_match": true,
    })
}

/// An enrolment through one client.
pub struct Enrolling {
    /// Who acts.
    pub client: Client,
    /// The handle.
    pub id: String,
}

impl Enrolling {
    /// Asks for a factor of this type.
    ///
    /// # Panics
    /// When it is refused.
    #[track_caller]
    pub fn ask(
        rig: &Appliance,
        key: &str,
        user: &str,
        (method, level, factor): (&str, f64, &str),
    ) -> Enrolling {
        let mut client = rig.loopback(Some(key));
        let asked = client.post("/v1/enrolments", &request(user, method, level)).expect(201).json();
        let mut one = Enrolling { client, id: asked["id"].as_str().expect("a handle").to_owned() };
        one.act("factor", &json!({"type": factor})).expect(200);
        one
    }

    /// The same enrolment at the desk of root, as long as there is nobody else (D-54).
    pub fn at_desk(&self, rig: &Appliance) -> Enrolling {
        Enrolling { client: rig.admin(), id: self.id.clone() }
    }

    /// An act.
    #[track_caller]
    pub fn act(&mut self, act: &str, body: &Value) -> Answer {
        self.client.post(&format!("/v1/enrolments/{}/{act}", self.id), body)
    }

    /// As it is now.
    #[track_caller]
    pub fn shown(&mut self) -> Value {
        self.client.get(&format!("/v1/enrolments/{}", self.id)).expect(200).json()
    }

    /// A token of its own for an app: serial and secret.
    ///
    /// # Panics
    /// When none is made.
    #[track_caller]
    pub fn token(&mut self) -> (String, Secret) {
        let made = self.act("token", &json!({})).expect(201).json();
        let text = |name: &str| made[name].as_str().expect("a text").to_owned();
        (text("serial"), Secret::of_uri(&text("otpauth_uri")))
    }

    /// A token of its own for an app, which is shown.
    #[track_caller]
    pub fn token_shown(&mut self) -> (String, Secret) {
        let (serial, secret) = self.token();
        self.act("possession", &json!({"otp": secret.totp(unix_s())})).expect(200);
        (serial, secret)
    }

    /// What the phone scans.
    ///
    /// # Panics
    /// When no registration begins.
    #[track_caller]
    pub fn uri(&mut self, body: &Value) -> String {
        let made = self.act("phone", body).expect(201).json();
        made["registration"]["uri"].as_str().expect("a URI").to_owned()
    }

    /// Has the phone asked, and answers there; the challenge.
    ///
    /// # Panics
    /// When the phone is not asked, or its answer not taken.
    #[track_caller]
    pub fn answered(&mut self, handset: &mut Handset, account: usize, choice: fn(u8) -> Choice) -> String {
        let sent = self.act("possession/send", &json!({})).expect(202).json();
        let challenge = sent["challenge"].as_str().expect("a handle").to_owned();
        let early = self.act("possession", &json!({"challenge": challenge}));
        assert_eq!(
            (early.status, early.code().as_str()),
            (409, "enrol.possession_waiting"),
            "{}",
            early.text()
        );
        let number = u8::try_from(sent["number"].as_u64().expect("a number")).expect("two digits");
        let notice = handset.notice(account);
        assert!(notice.numbers.contains(&number), "{number} among {:?}", notice.numbers);
        assert_eq!(handset.answer(&notice, choice(number)).status, 200);
        challenge
    }

    /// The phone is asked, and confirms; the enrolment after that.
    #[track_caller]
    pub fn confirmed(&mut self, handset: &mut Handset, account: usize) -> Value {
        let challenge = self.answered(handset, account, Choice::Number);
        self.act("possession", &json!({"challenge": challenge})).expect(200).json()
    }

    /// The desk of root begins, for who brings the registration code.
    #[track_caller]
    pub fn begun(&mut self, rig: &Appliance) -> Enrolling {
        let code = self.act("code", &json!({})).expect(201).json();
        let mut desk = self.at_desk(rig);
        desk.act("vet", &json!({"code": code["code"]})).expect(200);
        desk
    }

    /// The desk's way from the document to the binding, once the factor was shown.
    ///
    /// # Panics
    /// When a step is refused.
    #[track_caller]
    pub fn proved(&mut self) {
        for (act, body) in [("vet/proof", &proof()), ("vet/record", &json!({})), ("bind", &json!({}))] {
            self.act(act, body).expect(200);
        }
    }

    /// The rest of the desk's way, to the activation; the enrolment after that.
    #[track_caller]
    pub fn vetted(&mut self) -> Value {
        self.proved();
        self.act("activate", &json!({})).expect(200).json()
    }
}
