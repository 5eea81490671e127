//! Authenticator apps as steps of flows, on the shipped example configurations. Codes are judged by `oathtool`.

use std::process::Command;

use serde_json::{Value, json};
use tests::appliance::MANY_MESSAGES;
use tests::flow::{Flow, SCOPES, example};
use tests::time::unix_s;
use tests::{Answer, Appliance, RigOptions, Secret};

const INVALID: &str = "oath.error.invalid_otp";
const PASSWORD: &str = "correct horse battery";

fn rig(example_name: &str, change: impl Fn(String) -> String) -> (Appliance, String) {
    let text =
        format!("{}{MANY_MESSAGES}[limits]\ndelay_from = 20\npair_failures = 50\n", example(example_name));
    let rig = Appliance::start(RigOptions::with_modem().config(&change(text)));
    let key = rig.app_key("portal", &SCOPES);
    (rig, key)
}

fn begin(rig: &Appliance, key: &str, flow: &str, user: &str) -> Flow {
    Flow::of(rig.loopback(Some(key)), flow, user)
}

/// The code that an app shows which has scanned this URI.
fn app_shows(uri: &str) -> String {
    let secret = Secret::of_uri(uri);
    let base32 = secret.base32();
    let shown = Command::new("oathtool").args(["--totp", "-b", &base32]).output().expect("oathtool");
    String::from_utf8(shown.stdout).expect("digits").trim().to_owned()
}

fn uri(flow: &Flow) -> String {
    flow.wants("oath-activate")["activation"]["otpauth_uri"].as_str().expect("a URI").to_owned()
}

fn secrets(rig: &Appliance, user: &str) -> Vec<(String, String)> {
    rig.events(&format!("user={user}"))
        .iter()
        .filter_map(|event| {
            let kind = event["type"].as_str().filter(|kind| kind.starts_with("oath.secret"))?;
            let replaced = event["subject"]["replaced"].as_str().unwrap_or_default();
            Some((kind.to_owned(), replaced.to_owned()))
        })
        .collect()
}

fn wrong(uri: &str) -> String {
    let step = unix_s() / 30;
    Secret::of_uri(uri).wrong(step - 3..step + 4)
}

fn verify(rig: &Appliance, user: &str, otp: &str) -> Answer {
    rig.admin().verify(user, otp)
}

fn living(rig: &Appliance, user: &str) -> usize {
    let tokens = rig.admin().get(&format!("/v1/users/{user}/tokens")).expect(200).json();
    tokens["items"].as_array().into_iter().flatten().filter(|token| token["state"] == "active").count()
}

/// AT-11 (self-service), OATH-02, OATH-24 to OATH-26, OATH-31, OATH-53: QR code and Base32, never hex; nothing is stored
/// before the first code. Red when the pending token can be used, or an abandoned flow leaves one.
#[test]
fn an_app_is_enrolled_by_its_first_code() {
    let (rig, key) = rig("flows/oath", |text| text);
    rig.user("alice");
    let mut flow = begin(&rig, &key, "oath-otp-replace", "alice");
    let uri = uri(&flow);
    let activation = flow.now["activation"].clone();
    let base32 = Secret::of_uri(&uri).base32();
    assert!(base32.len() * 5 / 8 >= 16, "at least 128 bits");
    assert!(!base32.contains('='), "unpadded");
    let shown = activation["base32"].as_str().unwrap().replace(' ', "");
    assert_eq!(shown, base32);
    assert!(activation["qr_svg"].as_str().unwrap().starts_with("<svg"));
    let hex = data_encoding::HEXLOWER.encode(&Secret::of_uri(&uri).bytes);
    assert!(!flow.last.text().to_lowercase().contains(&hex), "no hex for users (OATH-25)");
    assert!(!uri.contains("algorithm=SHA2"), "{uri}");
    for part in ["issuer=", "secret=", "digits=6", "period=30"] {
        assert!(uri.contains(part), "{part} in {uri} (OATH-11)");
    }
    assert_eq!(living(&rig, "alice"), 0);
    assert!(verify(&rig, "alice", &app_shows(&uri)).rejected(), "pending is not active");
    flow.wrong("verify", &json!({"otp": wrong(&uri)}), INVALID);
    flow.code(&app_shows(&uri));
    flow.wants("done");
    assert_eq!(living(&rig, "alice"), 1);
    assert_eq!(secrets(&rig, "alice"), [("oath.secret_added".to_owned(), "false".to_owned())]);

    rig.user("bob");
    let abandoned = begin(&rig, &key, "oath-otp-replace", "bob");
    abandoned.wants("oath-activate");
    assert_eq!(living(&rig, "bob"), 0);
    assert_eq!(secrets(&rig, "bob"), []);
}

/// AT-11, OATH-33, OATH-42, D-25: a new secret replaces the old one when its first code was seen, not before. Red
/// when the former token ends at the beginning, or lives on.
#[test]
fn a_new_secret_ends_the_old_one_at_its_first_code() {
    let (rig, key) = rig("flows/oath", |text| text);
    rig.user("alice");
    let mut flow = begin(&rig, &key, "oath-otp-replace", "alice");
    let old = uri(&flow);
    flow.code(&app_shows(&old));
    let letter = json!({"user": "alice", "kind": "oath", "delivery": "hand"});
    let letter = rig.admin().post("/v1/letters", &letter).expect(201).json();
    let mut flow = begin(&rig, &key, "oath-otp-replace", "alice");
    let new = uri(&flow);
    assert_ne!(Secret::of_uri(&new).bytes, Secret::of_uri(&old).bytes);
    let next = Secret::of_uri(&old).totp(unix_s() + 30);
    assert!(verify(&rig, "alice", &next).accepted(), "the old app works until then");
    flow.code(&app_shows(&new));
    flow.wants("done");
    let later = Secret::of_uri(&old).totp(unix_s() + 30);
    assert!(verify(&rig, "alice", &later).rejected(), "the old app has stopped");
    let path = format!("/v1/letters/{}", letter["id"].as_str().expect("an id"));
    assert_eq!(rig.admin().get(&path).expect(200).json()["state"], "cancelled", "with its secret");
    assert_eq!(living(&rig, "alice"), 1);
    let replaced = |text: &str| ("oath.secret_added".to_owned(), text.to_owned());
    assert_eq!(secrets(&rig, "alice"), [replaced("false"), replaced("true")]);
}

/// AT-11, OATH-34, OATH-38, OATH-41: the existing secret is shown again, and the app that has it goes on; without
/// one a new one is made.
#[test]
fn a_further_app_gets_the_existing_secret() {
    let (rig, key) = rig("flows/oath", |text| text);
    rig.user("alice");
    let mut flow = begin(&rig, &key, "oath-otp-activation", "alice");
    let first = uri(&flow);
    assert_eq!(flow.now["activation"]["existing"], false);
    flow.code(&app_shows(&first));
    let mut flow = begin(&rig, &key, "oath-otp-activation", "alice");
    assert_eq!(Secret::of_uri(&uri(&flow)).bytes, Secret::of_uri(&first).bytes);
    assert_eq!(flow.now["activation"]["existing"], true);
    flow.code(&Secret::of_uri(&first).totp(unix_s() + 30));
    flow.wants("done");
    assert_eq!(living(&rig, "alice"), 1);
    let kinds: Vec<String> = secrets(&rig, "alice").into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, ["oath.secret_added", "oath.secret_viewed"]);
}

/// AT-11, OATH-35, D-24: a counter cannot be shared by two apps.
#[test]
fn a_counter_is_never_shown_again() {
    let (rig, _) = rig("flows/oath", |text| text);
    let hotp = example("flows/oath").replace("type = \"TOTP\" ", "type = \"HOTP\" ");
    let file = rig.path("hotp.toml");
    let own = std::fs::read_to_string(&rig.config).unwrap();
    std::fs::write(&file, own.replace(&example("flows/oath"), &hotp)).unwrap();
    let checked = rig.cli(&["config", "check", file.to_str().unwrap()]);
    let said = tests::appliance::told(&checked);
    assert_eq!(checked.status.code(), Some(2), "{said}");
    assert!(said.contains("CFG-OATH-1") && said.contains("hotp.toml:"), "{said}");
}

fn details(name: &str) -> Value {
    json!({"user": name, "password": PASSWORD, "email": format!("{name}@example.org"), "address": ["Gasse 1", "3000 Bern"]})
}

/// AT-15, OATH-02, OATH-30, OATH-37, OATH-39, D-58: user and token are written together, at the end, or not at all. Red when
/// the user is there before the last step.
#[test]
fn a_new_user_and_the_token_are_written_together() {
    let (rig, key) = rig("flows/self-registration", |text| text);
    let start = || Flow::start(rig.loopback(Some(&key)), &json!({"flow": "self-registration"}));
    let mut flow = start();
    flow.wants("details");
    flow.wrong("details", &json!({"user": "", "password": PASSWORD}), "details.error.name");
    flow.wrong("details", &json!({"user": "dora", "password": "short"}), "details.error.password");
    let email = json!({"user": "dora", "password": PASSWORD, "email": "dora"});
    flow.wrong("details", &email, "details.error.email");
    flow.go("details", &details("dora"));
    let secret = uri(&flow);
    rig.admin().get("/v1/users/dora").expect(404);
    flow.wrong("verify", &json!({"otp": wrong(&secret)}), INVALID);
    rig.admin().get("/v1/users/dora").expect(404);
    flow.code(&app_shows(&secret));
    assert_eq!(flow.result()["active_method"], "OATH_OTP");
    assert_eq!(living(&rig, "dora"), 1);
    let token = &rig.admin().get("/v1/users/dora/tokens").expect(200).json()["items"][0];
    assert_eq!(token["failures"], 0);

    // The first code is used up.
    let mut app = rig.loopback(Some(&key));
    let session = app.post("/v1/sessions", &json!({"user": "dora", "password": PASSWORD})).expect(201).json();
    assert_eq!(session["step"], "oath-code");
    let path = format!("/v1/flows/{}/verify", session["flow"].as_str().unwrap());
    let again = Secret::of_uri(&secret).totp(unix_s() - 30);
    assert_eq!(app.post(&path, &json!({"otp": again})).code(), INVALID);
    let next = Secret::of_uri(&secret).totp(unix_s() + 30);
    let done = app.post(&path, &json!({"otp": next})).expect(200).json();
    assert_eq!(done["result"]["amr"], json!(["password", "otp"]));

    // Of two who want the same name, one gets it.
    let (mut one, mut other) = (start(), start());
    one.go("details", &details("erik"));
    other.go("details", &details("erik"));
    let (first, second) = (uri(&one), uri(&other));
    one.code(&app_shows(&first));
    one.result();
    other.wrong("verify", &json!({"otp": app_shows(&second)}), "details.error.name");
    assert_eq!(living(&rig, "erik"), 1);
}

/// MOB-09, D-59, A8: a password that is wrong and a user whom nobody knows are told the same.
#[test]
fn a_wrong_password_says_nothing_of_the_user() {
    let (rig, key) = rig("flows/self-registration", |text| text);
    rig.user("alice");
    let mut app = rig.loopback(Some(&key));
    let told: Vec<(u16, Value)> = ["alice", "nobody"]
        .map(|user| {
            let answer = app.post("/v1/sessions", &json!({"user": user, "password": PASSWORD}));
            let mut body = answer.json();
            assert_eq!(body["code"], "login.error.invalid", "{body}");
            for field in ["flow", "links", "user"] {
                body["flow"][field] = Value::Null;
            }
            (answer.status, body)
        })
        .to_vec();
    assert_eq!(told[0], told[1]);
}

/// AT-11, OATH-02, OATH-29, OATH-32, D-61, B.5.10: a user whose next method is OATH_OTP is offered to move, may put it off three
/// times over all logins, and then moves; afterwards the method is the active one. Red when a new login forgets what
/// was put off.
#[test]
fn a_user_moves_to_an_app() {
    let (rig, key) = rig("flows/oath", |text| text);
    rig.user("alice");
    rig.admin().put("/v1/users/alice/auth-method", &json!({"next": "OATH_OTP"})).expect(200);
    for _ in 0..3 {
        let mut flow = begin(&rig, &key, "login", "alice");
        flow.wants("migrate");
        assert_eq!(flow.now["options"][0]["name"], "OATH_OTP");
        flow.go("skip", &json!({}));
        assert_eq!(flow.result()["active_method"], "PASSWORD");
    }
    let mut flow = begin(&rig, &key, "login", "alice");
    flow.wants("migrate");
    assert!(flow.now["links"].get("skip").is_none(), "{}", flow.now);
    flow.wrong("skip", &json!({}), "flow.wrong_step");
    flow.go("choose", &json!({"option": "OATH_OTP"}));
    let secret = uri(&flow);
    flow.code(&app_shows(&secret));
    assert_eq!(flow.result()["active_method"], "OATH_OTP");
    let mut flow = begin(&rig, &key, "login", "alice");
    flow.wants("oath-code");
    flow.code(&Secret::of_uri(&secret).totp(unix_s() + 30));
    assert_eq!(flow.result()["amr"], json!(["assertion", "otp"]));
}

/// OATH-53, D-25: where the configuration says so, no first code is asked for, and a lost phone ends at the beginning.
#[test]
fn a_lost_phone_ends_at_once_where_configured() {
    let (rig, key) = rig("flows/oath", |text| {
        let text = text.replace("confirm_on_activation = true", "confirm_on_activation = false");
        text.replace("reveal_after_activation = true", "replace_immediately = true")
    });
    rig.user("alice");
    let mut flow = begin(&rig, &key, "oath-otp-replace", "alice");
    let lost = uri(&flow);
    assert_eq!(flow.now["fields"], json!([]));
    flow.go("continue", &json!({}));
    flow.wants("done");
    assert_eq!(living(&rig, "alice"), 1);
    let replacing = begin(&rig, &key, "oath-otp-replace", "alice");
    replacing.wants("oath-activate");
    assert!(verify(&rig, "alice", &app_shows(&lost)).rejected(), "the finder cannot use it");
    assert_eq!(living(&rig, "alice"), 0);
}
