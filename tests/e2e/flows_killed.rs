//! Each shipped flow, given up and killed after each of its steps: users, numbers, tokens, letters and methods are as
//! before, until the last step was answered; then they are wholly as after, whatever happens next. MOB-19, T3.

use std::cell::Cell;

use rusqlite::types::Value as Column;
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};
use tests::appliance::MANY_MESSAGES;
use tests::flow::{Flow, SCOPES, example};
use tests::forms::Visitor;
use tests::letter::{self, order_and_read_key};
use tests::mailsink::MailSink;
use tests::people::Enrolled;
use tests::time::unix_s;
use tests::{Appliance, PATIENCE, Secret, wait_until};

const PASSWORD: &str = "correct horse battery";
const ALICE: &str = "+41791234561";
const BOB: &str = "+41791234562";
const BOB_NEW: &str = "+41791234563";
const EVE: &str = "+41791234564";
const LIMITS: &str = "[limits]\ndelay_from = 20\npair_failures = 50\n";

/// What no flow may change before its last step. What a code of a token uses up there is used up.
const KEPT: [&str; 4] = [
    "SELECT id, name, state, password_hash, active_method, next_method, skips, email, mac FROM user ORDER BY id",
    "SELECT * FROM phone ORDER BY id",
    "SELECT id, serial, user_id, lifecycle, record, reveal FROM token ORDER BY id",
    "SELECT id, user_id, kind, token_id, state, attempts, key_mac, valid_until FROM letter ORDER BY id",
];

struct Scene {
    rig: Appliance,
    key: String,
}

/// The texts of the example configurations, all under one state directory, one after the other.
fn options(text: &str) -> String {
    format!("{text}{MANY_MESSAGES}{LIMITS}")
}

impl Scene {
    fn start(text: &str) -> Scene {
        let rig = Appliance::start(letter::options("delivery_gap = \"0s\"\n", &options(text)));
        let key = rig.app_key("portal", &SCOPES);
        Scene { rig, key }
    }

    /// The same appliance under another configuration.
    fn under(&mut self, text: &str) {
        self.rig.options_mut().config = letter::options("delivery_gap = \"0s\"\n", &options(text)).config;
        self.rig.write_config();
        self.rig.restart();
    }

    fn user(&self, name: &str) {
        self.rig.user(name);
        let path = format!("/v1/users/{name}/password");
        self.rig.admin().put(&path, &json!({"password": PASSWORD})).expect(200);
    }

    fn method(&self, name: &str, methods: &Value) {
        self.rig.admin().put(&format!("/v1/users/{name}/auth-method"), methods).expect(200);
    }

    fn kept(&self) -> Vec<Vec<Column>> {
        let path = self.rig.state.join("countersign.db");
        let store = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the store");
        let mut kept = Vec::new();
        for sql in KEPT {
            let mut statement = store.prepare(sql).expect(sql);
            let width = statement.column_count();
            let read = |row: &rusqlite::Row<'_>| (0..width).map(|n| row.get(n)).collect();
            let rows = statement.query_map([], read).expect(sql);
            kept.extend(rows.collect::<Result<Vec<Vec<Column>>, _>>().expect(sql));
        }
        kept
    }

    fn kill(&mut self) {
        self.rig.kill9();
        self.rig.serve();
        self.rig.await_ready();
    }

    /// Begins a flow for a user whom the application has checked.
    fn flow(&self, flow: &str, user: &str) -> Flow {
        Flow::of(self.rig.loopback(Some(&self.key)), flow, user)
    }

    /// Begins a flow of nobody yet.
    fn open(&self, flow: &str) -> Flow {
        Flow::start(self.rig.loopback(Some(&self.key)), &json!({"flow": flow}))
    }

    /// The newest code that went to a number; the flow's own challenge waits for it.
    fn code(&self, flow: &mut Flow, number: &str) -> String {
        wait_until(PATIENCE, "the code to live", || flow.look()["expires_at"].is_string().then_some(()));
        self.rig.modem().messages_to(number).last().expect("a message").code()
    }

    /// Walks a flow, gives it up and kills the daemon after each step but the last; then walks it to its end and kills
    /// the daemon right after the answer. Returns what is kept before and after.
    fn walk(
        &mut self,
        name: &str,
        begin: &dyn Fn(&Scene) -> Flow,
        steps: &[Step<'_>],
    ) -> [Vec<Vec<Column>>; 2] {
        let before = self.kept();
        for answered in 0..steps.len() {
            let what = format!("{name} after {answered} steps");
            let walked = |scene: &Scene| {
                let mut flow = begin(scene);
                steps[..answered].iter().for_each(|step| step(scene, &mut flow));
                assert_ne!(flow.step(), "done", "{what}");
                flow
            };
            walked(self).wrong("cancel", &json!({}), "flow.cancelled");
            assert_eq!(self.kept(), before, "{what}: given up");
            walked(self);
            self.kill();
            assert_eq!(self.kept(), before, "{what}: killed");
        }
        let mut flow = begin(self);
        steps.iter().for_each(|step| step(self, &mut flow));
        flow.wants("done");
        let after = self.kept();
        self.kill();
        assert_eq!(self.kept(), after, "{name}: what was answered stays");
        [before, after]
    }
}

type Step<'s> = &'s dyn Fn(&Scene, &mut Flow);

fn password(name: &'static str) -> impl Fn(&Scene, &mut Flow) {
    move |_, flow| {
        flow.wants("password");
        flow.act("password", &json!({"user": name, "password": PASSWORD}));
    }
}

fn number(typed: &'static str) -> impl Fn(&Scene, &mut Flow) {
    move |_, flow| {
        flow.wants("number");
        flow.go("number", &json!({"number": typed}));
    }
}

fn sms(number: &'static str) -> impl Fn(&Scene, &mut Flow) {
    move |scene, flow| {
        let otp = scene.code(flow, number);
        flow.code(&otp);
    }
}

fn go_on(_: &Scene, flow: &mut Flow) {
    flow.go("continue", &json!({}));
}

/// The first code of an app, at a step of time that no former one has used up.
fn first_code(ahead_s: u64) -> impl Fn(&Scene, &mut Flow) {
    move |_, flow| {
        let uri =
            flow.wants("oath-activate")["activation"]["otpauth_uri"].as_str().expect("a URI").to_owned();
        flow.code(&Secret::of_uri(&uri).totp(unix_s() + ahead_s));
    }
}

/// MOB-19, AT-04, B.5.1, B.5.3: the first number with its letter, the login with it, the change of a number, and the
/// link. Red when a number, a key or a method moves before the last step, or an abandoned flow bars the next one.
#[test]
fn flows_of_numbers_leave_nothing_behind() {
    let mut scene = Scene::start(&example("flows/phone-registration"));
    scene.user("alice");
    scene.method("alice", &json!({"active": "SMS"}));
    let iak = order_and_read_key(&scene.rig, "alice");
    let both = |scene: &Scene, flow: &mut Flow| {
        let otp = scene.code(flow, ALICE);
        flow.go("verify", &json!({"otp": otp, "iak": iak}));
    };
    let begin = |scene: &Scene| scene.open("phone-registration");
    let steps: [Step<'_>; 3] = [&password("alice"), &number(ALICE), &both];
    let [before, after] = scene.walk("registration", &begin, &steps);
    assert_eq!(after.len(), before.len() + 1, "the number");
    let letters = scene.rig.admin().get("/v1/letters?user=alice").expect(200).json();
    assert_eq!(letters["items"][0]["state"], "consumed");
    let steps: [Step<'_>; 2] = [&password("alice"), &sms(ALICE)];
    let [before, after] = scene.walk("login", &begin, &steps);
    assert_eq!(before, after);

    scene.under(&example("flows/phone-change"));
    scene.user("bob");
    scene.rig.phone("bob", BOB);
    let token: Enrolled = scene.rig.token("bob", &json!({"type": "hotp"}));
    let counter = Cell::new(0);
    let hotp = |_: &Scene, flow: &mut Flow| {
        flow.wants("oath-code");
        flow.code(&token.secret.hotp(counter.replace(counter.get() + 1)));
    };
    let steps: [Step<'_>; 4] = [&go_on, &hotp, &number(BOB_NEW), &sms(BOB_NEW)];
    let [before, after] = scene.walk("change", &|scene| scene.flow("phone-change", "bob"), &steps);
    assert_eq!(before.len(), after.len(), "one number in place of the other");
    assert!(scene.rig.show_user("bob")["phone_masked"].as_str().expect("a phone").ends_with("4563"));

    scene.under(&example("flows/sms-link"));
    // Phones are told another address than the rig's; the path is the same.
    let approve = |scene: &Scene, flow: &mut Flow| {
        wait_until(PATIENCE, "the link to live", || flow.look()["expires_at"].is_string().then_some(()));
        let text = scene.rig.modem().messages_to(BOB_NEW).last().and_then(|message| message.text.clone());
        let text = text.expect("a whole text");
        let at = text.find("/ui/l/").expect("a link");
        let link = text[at..].split_whitespace().next().expect("a link");
        assert_eq!(
            Visitor::new(scene.rig.address).send("POST", link, Some(&[("action", "approve")])).status,
            200
        );
    };
    let [before, after] = scene.walk("link", &|scene| scene.flow("sms-link", "bob"), &[&approve, &go_on]);
    assert_eq!(before, after);
    scene.rig.check_chain();
}

/// OATH-33, OATH-34, OATH-39, B.5.5, B.5.10, SMS-24: an app with a new secret and with the existing one, a move to
/// another method, a new user, a number by e-mail. Red when a token, a method or a user is there before the last step.
#[test]
fn flows_of_apps_and_newcomers_leave_nothing_behind() {
    let mut scene = Scene::start(&example("flows/oath"));
    scene.user("carol");
    let replace = |scene: &Scene| scene.flow("oath-otp-replace", "carol");
    let [before, after] = scene.walk("first app", &replace, &[&first_code(0)]);
    assert_eq!(after.len(), before.len() + 1, "the token");
    let [before, after] = scene.walk("new secret", &replace, &[&first_code(0)]);
    assert_eq!(after.len(), before.len() + 1, "the new token; the former one is revoked");
    let tokens = scene.rig.admin().get("/v1/users/carol/tokens").expect(200).json();
    let states: Vec<&str> = tokens["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|token| token["state"].as_str())
        .collect();
    assert_eq!(states.iter().filter(|state| **state == "active").count(), 1, "{states:?}");
    let again = |scene: &Scene| scene.flow("oath-otp-activation", "carol");
    let [before, after] = scene.walk("existing secret", &again, &[&first_code(30)]);
    assert_eq!(before, after);

    scene.user("dave");
    scene.method("dave", &json!({"next": "OATH_OTP"}));
    let choose = |_: &Scene, flow: &mut Flow| flow.go("choose", &json!({"option": "OATH_OTP"}));
    let login = |scene: &Scene| scene.flow("login", "dave");
    scene.walk("migration", &login, &[&choose, &first_code(0)]);
    let methods = scene.rig.admin().get("/v1/users/dave/methods").expect(200).json();
    assert_eq!((&methods["active"], &methods["next"]), (&json!("OATH_OTP"), &Value::Null), "{methods}");

    scene.under(&example("flows/self-registration"));
    let details = |_: &Scene, flow: &mut Flow| {
        let body = json!({"user": "frida", "password": PASSWORD, "email": "frida@example.org"});
        flow.go("details", &body);
    };
    let register = |scene: &Scene| scene.open("self-registration");
    let [before, after] = scene.walk("self-registration", &register, &[&details, &first_code(0)]);
    assert_eq!(after.len(), before.len() + 2, "user and token");

    let sink = MailSink::start();
    let port = format!("port = {}\n", sink.address.port());
    scene.under(&example("flows/email").replace("port = 25\n", &port));
    scene.user("eve");
    scene.rig.cli_json(&["user", "email", "eve", "eve@example.org"]);
    let into = |scene: &Scene, flow: &mut Flow| {
        password("eve")(scene, flow);
        if flow.step() == "sms-info" {
            go_on(scene, flow);
        }
    };
    let mail = |_: &Scene, flow: &mut Flow| {
        flow.wants("email-code");
        // The newest of those that walks before have left.
        let mut text = sink.next().text;
        while let Some(newer) = sink.try_next() {
            text = newer.text;
        }
        let body = text.split("\n\n").nth(1).unwrap_or_default().to_owned();
        let code = body.split(|c: char| !c.is_ascii_digit()).find(|run| run.len() == 8).expect("a code");
        flow.code(code);
    };
    let steps: [Step<'_>; 4] = [&into, &mail, &number(EVE), &sms(EVE)];
    let [before, after] = scene.walk("e-mail", &|scene| scene.open("login"), &steps);
    assert_eq!(after.len(), before.len() + 1, "the number");
    scene.rig.check_chain();
}
