//! The audit trail names what the documents name: each event of a row is written when it happens.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use tests::appliance::{MANY_MESSAGES, ModemOptions, told};
use tests::flow::{Flow, SCOPES, example};
use tests::letter::{self, generate, order_and_read_key};
use tests::time::{unix_ms, unix_s};
use tests::{Appliance, PATIENCE, RigOptions, wait_until};

const ALICE: &str = "+41791234561";
const BOB: &str = "+41791234562";
const CAROL: &str = "+41791234563";
const PASSWORD: &str = "correct horse battery";
/// No delay gets in the way.
const LIMITS: &str = "[limits]\ndelay_from = 20\npair_failures = 50\n";
/// A key that is well formed and nobody's.
const NO_KEY: &str = "AAAA-BBBB-CCCC";
/// The shortest life of a link that can be configured.
const LINK_TTL: Duration = Duration::from_secs(30);

fn kinds(rig: &Appliance) -> BTreeSet<String> {
    let events = rig.events("");
    events.iter().map(|event| event["type"].as_str().expect("a type").to_owned()).collect()
}

#[track_caller]
fn has_all(rig: &Appliance, expected: &[&str]) {
    let kinds = kinds(rig);
    let missing: Vec<&&str> = expected.iter().filter(|kind| !kinds.contains(**kind)).collect();
    assert!(missing.is_empty(), "{missing:?} are missing among {kinds:?}");
    rig.check_chain();
}

fn other_than(otp: &str) -> String {
    let last = otp.as_bytes()[otp.len() - 1] - b'0';
    format!("{}{}", &otp[..otp.len() - 1], (last + 1) % 10)
}

fn live_code(rig: &Appliance, flow: &mut Flow, number: &str) -> String {
    let otp = rig.modem().await_message(number, 1).code();
    wait_until(PATIENCE, "the code to live", || flow.look()["expires_at"].is_string().then_some(()));
    otp
}

/// MOB-39: letters, keys and numbers, each with its event (an expired letter has its own test).
#[test]
fn letters_keys_and_numbers_leave_a_trail() {
    let text = format!("{}{MANY_MESSAGES}{LIMITS}", example("flows/phone-registration"));
    let head = "delivery_gap = \"0s\"\n[letters.sms_iak]\nmax_attempts = 1\n";
    let rig = Appliance::start(letter::options(head, &text));
    let key = rig.app_key("portal", &SCOPES);
    for name in ["alice", "bob"] {
        rig.user(name);
        let mut admin = rig.admin();
        admin.put(&format!("/v1/users/{name}/password"), &json!({"password": PASSWORD})).expect(200);
        admin.put(&format!("/v1/users/{name}/auth-method"), &json!({"active": "SMS"})).expect(200);
    }
    let register = |name: &str, number: &str, iak: &str| {
        let mut flow = Flow::start(rig.loopback(Some(&key)), &json!({"flow": "phone-registration"}));
        flow.act("password", &json!({"user": name, "password": PASSWORD}));
        flow.go("number", &json!({"number": number}));
        let otp = live_code(&rig, &mut flow, number);
        flow.act("verify", &json!({"otp": otp, "iak": iak}));
    };
    generate(&rig, "alice", "sms-iak");
    register("alice", ALICE, &order_and_read_key(&rig, "alice"));
    generate(&rig, "bob", "sms-iak");
    register("bob", BOB, NO_KEY);
    let hand = ["--json", "letter", "generate", "--kind", "sms-iak", "--delivery", "hand", "bob"];
    let made = rig.cli(&hand);
    assert!(made.status.success(), "{}", told(&made));
    let made: Value = serde_json::from_slice(&made.stdout).expect("JSON");
    let id = made["id"].as_str().expect("a handle");
    for act in ["handover", "cancel"] {
        let done = rig.cli(&["letter", act, id]);
        assert!(done.status.success(), "{}", told(&done));
    }
    rig.cli_json(&["user", "phone", "remove", "alice"]);
    has_all(
        &rig,
        &[
            "letter.ordered",
            "letter.rendered",
            "letter.handed_over",
            "letter.cancelled",
            "letter.superseded",
            "letter.burnt",
            "iak.accepted",
            "iak.rejected",
            "phone.otp_sent",
            "phone.possession_proven",
            "phone.registered",
            "phone.removed",
        ],
    );
}

/// SMS-44: whatever comes of a code or a link, and of a question over the back-channel.
#[test]
fn codes_and_links_leave_a_trail() {
    let link = format!(
        "[[authenticator]]\nid = \"link1\"\ntype = \"sms\"\nsend_otp_as_code = false\nlink_ttl = \"{}s\"\n\
         allow_registration_during_login = false\n\
         [[flow]]\nid = \"link\"\nlabel = \"Sign in\"\nsteps = [\"password\", \"sms:link1\"]\n\
         [[backchannel]]\nid = \"phone\"\nfrontchannel = \"link1\"\n",
        LINK_TTL.as_secs()
    );
    let refused = "[[fault]]\non = \"AT+CMGS\"\nnth = 5\ndo = \"error\"\narg = \"+CMS ERROR: 28\"\n";
    let modem = ModemOptions { faults: refused.to_owned(), ..ModemOptions::emulated("m1") };
    let mut options = RigOptions { modems: vec![modem], ..RigOptions::default() }
        .config(&format!("{}{link}{MANY_MESSAGES}{LIMITS}", example("flows/sms")));
    options.pages = true;
    let rig = Appliance::start(options);
    for (name, number) in [("alice", ALICE), ("bob", BOB), ("carol", CAROL)] {
        rig.user(name);
        rig.phone(name, number);
    }
    let key = rig.app_key("portal", &SCOPES);
    let begin = |flow: &str, name: &str| Flow::of(rig.loopback(Some(&key)), flow, name);
    // A link that nobody opens, and a question that nobody answers.
    begin("link", "bob").wants("sms-wait");
    let body = json!({"login_hint": "carol", "requested_expiry": 1});
    let asked = rig.loopback(Some(&key)).post("/v1/backchannel/authorize", &body).expect(202).json();
    rig.modem().await_message(BOB, 1);
    rig.modem().await_message(CAROL, 1);
    let opened = unix_ms();

    let mut flow = begin("sms-second", "alice");
    let otp = live_code(&rig, &mut flow, ALICE);
    for _ in 0..3 {
        flow.act("verify", &json!({"otp": other_than(&otp)}));
    }
    flow.go("resend", &json!({}));
    rig.modem().await_message(ALICE, 2);
    flow.go("resend", &json!({}));
    let failed = wait_until(PATIENCE, "the refused message", || rig.events("type=sms.send_failed").pop());
    assert_eq!(failed["outcome"], "failed", "{failed}");
    flow.go("resend", &json!({}));
    let otp = rig.modem().await_message(ALICE, 3).code();
    wait_until(PATIENCE, "the code to live", || flow.look()["expires_at"].is_string().then_some(()));
    flow.act("resend", &json!({}));
    flow.code(&otp);
    flow.result();
    let mut stranger = Flow::start(rig.loopback(Some(&key)), &json!({"flow": "sms-alone"}));
    stranger.act("username", &json!({"user": "nobody"}));
    let token = json!({"auth_req_id": asked["auth_req_id"]});
    rig.loopback(Some(&key)).post("/v1/backchannel/token", &token);

    let spent = Duration::from_millis(unix_ms() - opened);
    let left = LINK_TTL.saturating_sub(spent) + PATIENCE;
    wait_until(left, "the end of the link", || rig.events("type=sms.link_expired&user=bob").pop());
    has_all(
        &rig,
        &[
            "sms.challenge_ordered",
            "sms.challenge_sent",
            "sms.failed",
            "sms.attempts_exhausted",
            "sms.challenges_exhausted",
            "sms.send_failed",
            "sms.verified",
            "sms.no_user_or_phone",
            "sms.link_expired",
            "backchannel.authorized",
        ],
    );
    let unknown = rig.events("type=sms.no_user_or_phone").pop().expect("the stranger's event");
    assert!(!unknown.to_string().contains("nobody"), "no name of a stranger: {unknown}");
}

/// OATH-54: codes that are right, wrong, used, early or locked out, and an account that is found and deleted.
#[test]
fn oath_codes_leave_a_trail() {
    let rig = Appliance::start(RigOptions::default().config(LIMITS));
    let key = rig.app_key("vpn", &["verify"]);
    let mut app = rig.loopback(Some(&key));
    let token = rig.totp_user("alice");
    let early = token.secret.totp(unix_s() + 30);
    assert!(app.verify("alice", &early).accepted());
    assert!(app.verify("alice", &early).rejected());
    let counted = rig.hotp_user("bob");
    for _ in 0..5 {
        assert!(app.verify("bob", &counted.secret.wrong(0..20)).rejected());
    }
    let astray = rig.hotp_user("carol");
    rig.cli_json(&["oath", "resync", "carol", &astray.secret.hotp(40), &astray.secret.hotp(41)]);
    rig.cli_json(&["oath", "delete", "--yes", "carol"]);
    has_all(
        &rig,
        &[
            "oath.secret_added",
            "oath.verified",
            "oath.drift_adjusted",
            "oath.replay",
            "oath.failed",
            "oath.locked",
            "oath.resync",
            "oath.deleted",
        ],
    );
}
