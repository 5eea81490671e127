//! Who is told of a factor that takes effect, and by what: never by that factor. D-64, BIND-27, C.5.

use serde_json::{Value, json};
use tests::appliance::MANY_MESSAGES;
use tests::device::{Choice, Personality};
use tests::handset::Handset;
use tests::mailsink::MailSink;
use tests::phones::{id, number};
use tests::time::unix_s;
use tests::{Appliance, Client, PATIENCE, RigOptions, Secret, phones, wait_until};

const PROOF: &str = r#"{"kind": "id_document", "document": "passport", "country": "CH", "last6": "1",
    "not_expired": true, "name_match": true, "photo_match": true}"#;

/// A user by what there is to be told by, and the factor that is bound; by what that has to be told.
const TABLE: [(bool, bool, &str, &str); 12] = [
    (true, true, "push", "sms"),
    (true, false, "push", "sms"),
    (false, true, "push", "email"),
    (false, false, "push", "page"),
    (true, true, "soft", "sms"),
    (true, false, "soft", "sms"),
    (false, true, "soft", "email"),
    (false, false, "soft", "page"),
    (true, true, "sms", "email"),
    (true, false, "sms", "page"),
    (false, true, "sms", "email"),
    (false, false, "sms", "page"),
];

/// The desk of root, as long as there is nobody else (D-54).
struct Desk<'a> {
    rig: &'a Appliance,
    client: Client,
    id: String,
}

impl Desk<'_> {
    #[track_caller]
    fn act(&mut self, act: &str, status: u16, body: &Value) -> Value {
        self.client.post(&format!("/v1/enrolments/{}/{act}", self.id), body).expect(status).json()
    }

    /// The factor is shown; the number is the user's, or becomes it.
    fn show(&mut self, factor: &str, number_of_user: &str) {
        match factor {
            "push" => {
                let made = self.act("phone", 201, &json!({"kind": "push"}));
                let mut handset = Handset::new(self.rig, Personality::PingNew, "new");
                let (account, answer) =
                    handset.register(made["registration"]["uri"].as_str().expect("a URI"));
                assert_eq!(answer.status, 200);
                let sent = self.act("possession/send", 202, &json!({}));
                let notice = handset.notice(account);
                assert_eq!(handset.answer(&notice, Choice::Number(number(&sent))).status, 200);
                self.act("possession", 200, &json!({"challenge": sent["challenge"]}));
            }
            "soft" => {
                let made = self.act("token", 201, &json!({}));
                let secret = Secret::of_uri(made["otpauth_uri"].as_str().expect("a URI"));
                self.act("possession", 200, &json!({"otp": secret.totp(unix_s())}));
            }
            _ => {
                let before = self.rig.modem().messages_to(number_of_user).len();
                let sent = self.act("possession/send", 202, &json!({"number": number_of_user}));
                let otp = self.rig.modem().await_message(number_of_user, before + 1).code();
                let shown = json!({"challenge": sent["challenge"], "otp": otp});
                let path = format!("/v1/enrolments/{}/possession", self.id);
                wait_until(PATIENCE, "the code to live", || {
                    (self.client.post(&path, &shown).status == 200).then_some(())
                });
            }
        }
    }
}

/// D-64, BIND-27. Red when a factor that takes effect is told by itself alone, though there is another channel, or by a
/// channel that the user does not have.
#[test]
fn no_factor_tells_of_itself() {
    let sink = MailSink::start();
    let mail = format!(
        "[mail]\nhost = \"127.0.0.1\"\nport = {}\nfrom = \"login@example.org\"\n",
        sink.address.port()
    );
    let tables = format!("{mail}[push]\n{MANY_MESSAGES}");
    let (rig, _) = phones::with(RigOptions::with_modem().config(&tables));
    for (nth, (has_number, has_mail, factor, channel)) in TABLE.into_iter().enumerate() {
        let (user, own) = (format!("user-{nth}"), format!("+4179123{:04}", 4500 + nth));
        let case = format!("number {has_number}, mail {has_mail}: {factor}");
        rig.user(&user);
        if has_number {
            rig.phone(&user, &own);
        }
        if has_mail {
            let address = json!({"email": format!("{user}@example.org")});
            rig.admin().put(&format!("/v1/users/{user}/email"), &address).expect(200);
        }
        let mut client = rig.admin();
        let new = json!({"user": user, "method": "on_premise", "level": 2});
        let asked = client.post("/v1/enrolments", &new).expect(201).json();
        let mut desk = Desk { rig: &rig, client, id: id(&asked).to_owned() };
        desk.act("factor", 200, &json!({"type": factor}));
        desk.act("vet", 200, &json!({"place": "Desk 3"}));
        desk.show(factor, &own);
        desk.act("vet/proof", 200, &serde_json::from_str(PROOF).expect("JSON"));
        desk.act("vet/record", 200, &json!({}));
        desk.act("bind", 200, &json!({}));
        let active = desk.act("activate", 200, &json!({}));
        assert_eq!(active["state"], "confirmed", "{case}: {active}");
        let told = rig.events(&format!("type=enrol.confirmed&user={user}"));
        assert_eq!(told.len(), 1, "{case}");
        assert_eq!(told[0]["subject"]["channel"], channel, "{case}: {told:?}");
        let by_phone = rig.events(&format!("type=notice.sent&user={user}"));
        let by_phone: Vec<&str> =
            by_phone.iter().filter_map(|event| event["subject"]["channel"].as_str()).collect();
        assert!(by_phone.iter().all(|by| ["sms", "email"].contains(by)), "{case}: {by_phone:?}");
    }
    rig.check_chain();
}
