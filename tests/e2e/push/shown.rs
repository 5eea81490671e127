//! What applications and browsers are shown of phones: once where it is secret, kept by nobody on the way, and made anew
//! only when it is over.

use std::io::{BufReader, Write};
use std::time::Duration;

use serde_json::json;
use tests::device::{Choice, Personality};
use tests::flow::{Flow, SCOPES as FLOW_SCOPES, example};
use tests::handset::{Handset, begin, register};
use tests::http::{Endpoint, read_answer};
use tests::phones::{REGISTER, SCOPES, id, number, push, rig, rig_with};
use tests::{Answer, Appliance};

const PING: Personality = Personality::PingNew;
/// By then a request has been read, but for the busiest machine.
const UNDER_WAY: Duration = Duration::from_millis(300);

fn scene() -> (Appliance, String) {
    let (rig, _) = rig_with(&example("flows/combined"));
    let key = rig.app_key("shop", &[&FLOW_SCOPES[..], &SCOPES[..]].concat());
    rig.user("alice");
    (rig, key)
}

fn uri(flow: &Flow) -> String {
    flow.wants("mfa-register")["registration"]["uri"].as_str().expect("a URI").to_owned()
}

/// COMB-12, COMB-13, C.9, RFC 9111 5.2.2.5. Red when a QR code, recovery codes, the number of a push or a phone's messages
/// may be kept by a browser or on the way.
#[test]
fn nobody_on_the_way_keeps_what_is_told() {
    let (rig, mut client) = rig();
    rig.user("alice");
    #[track_caller]
    fn kept_nowhere(what: &str, answer: &Answer, status: u16) {
        assert_eq!((answer.status, answer.header("cache-control")), (status, Some("no-store")), "{what}");
    }
    let begun = client.post("/v1/users/alice/registrations", &json!({"kind": "combined"}));
    kept_nowhere("the code", &begun, 201);
    let begun = begun.json();
    let mut phone = Handset::new(&rig, PING, "alice");
    let (account, taken) = phone.register(begun["uri"].as_str().expect("a URI"));
    kept_nowhere("a reply", &taken, 200);
    let shown = client.get(&format!("/v1/users/alice/registrations/{}", id(&begun)));
    assert_eq!(shown.json()["recovery_codes"].as_array().map(Vec::len), Some(10));
    kept_nowhere("recovery codes", &shown, 200);
    let asked = client.post("/v1/challenges", &json!({"user": "alice", "channel": "push"}));
    kept_nowhere("the number", &asked, 201);
    phone.notice(account);
    let secret = phone.phone.accounts()[account].push.as_ref().expect("push").secret.clone();
    let query = phone.query(account, &secret, tests::time::unix_ms());
    kept_nowhere("messages", &phone.get(&query), 200);
    kept_nowhere("a refusal", &client.get("/v1/users/alice/registrations/0"), 410);
    let stranger = rig.loopback(None).send("POST", REGISTER, Some(b"{}")).expect("an answer");
    kept_nowhere("a stranger's", &stranger, 400);
    kept_nowhere("no key", &rig.loopback(None).get("/v1/challenges/0"), 401);
}

/// COMB-03, COMB-17, COMB-47, A10. Red when whoever knows a password has secrets drawn and events written by pressing a
/// button, or when who presses twice is shown another code than the phone has scanned.
#[test]
fn a_code_that_waits_is_not_made_anew() {
    let (rig, key) = scene();
    let mut flow = Flow::of(rig.loopback(Some(&key)), "login", "alice");
    let first = uri(&flow);
    for _ in 0..5 {
        flow.act("resend", &json!({}));
        assert_eq!(uri(&flow), first);
    }
    assert_eq!(rig.events("type=mfa.registration_started&user=alice").len(), 1);
    let mut phone = Handset::new(&rig, PING, "alice");
    assert_eq!(phone.register(&first).1.status, 200);
    flow.act("resend", &json!({}));
    flow.wants("recovery-codes");
    assert_eq!(
        rig.events("type=mfa.registration_started&user=alice").len(),
        1,
        "the phone that answered counts"
    );
    // What another flow has ended can be made anew.
    rig.user("bob");
    let mut flow = Flow::of(rig.loopback(Some(&key)), "login", "bob");
    let first = uri(&flow);
    begin(&mut rig.loopback(Some(&key)), "bob", "combined");
    flow.act("resend", &json!({}));
    assert_ne!(uri(&flow), first);
}

/// COMB-42, D-42, A14. Red when pressing twice has a person asked twice, ends the push that is just being answered, or throws
/// an answer away.
#[test]
fn a_push_that_waits_is_not_sent_again() {
    let (rig, key) = scene();
    let mut client = rig.loopback(Some(&key));
    let mut alice = register(&rig, &mut client, "alice", ("combined", PING));
    let mut flow = Flow::of(rig.loopback(Some(&key)), "login", "alice");
    let right = number(flow.wants("push-wait"));
    for _ in 0..5 {
        flow.act("resend", &json!({}));
        assert_eq!(number(flow.wants("push-wait")), right);
    }
    assert_eq!(rig.events("type=push.challenge_ordered&user=alice").len(), 1);
    let notice = alice.handset.notice(alice.account);
    assert_eq!(alice.handset.answer(&notice, Choice::Number(right)).status, 200);
    flow.act("resend", &json!({}));
    assert_eq!(flow.result()["user"], "alice");
    // What another application has superseded can be sent again.
    let mut flow = Flow::of(rig.loopback(Some(&key)), "login", "alice");
    flow.wants("push-wait");
    push(&mut client, "alice");
    flow.act("resend", &json!({}));
    let asked = flow.wants("push-wait").clone();
    let notice = alice.handset.notice(alice.account);
    assert_eq!(alice.handset.answer(&notice, Choice::Number(number(&asked))).status, 200);
    flow.go("continue", &json!({}));
    flow.result();
}

fn get(rig: &Appliance, path: &str, cookie: &str) -> BufReader<tests::http::Stream> {
    let mut stream = Endpoint::Tcp(rig.address).connect().expect("a connection");
    write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\ncookie: {cookie}\r\n\r\n").expect("sent");
    BufReader::new(stream)
}

/// A browser at the page of a flow: its cookie.
fn browser(rig: &Appliance, flow: &Flow) -> String {
    let page = flow.now["page"].as_str().expect("an address");
    let (_, door) = page.split_once("/ui/").expect("a page");
    let entered = rig.loopback(None).get(&format!("/ui/{door}"));
    entered.header("set-cookie").expect("a cookie").split(';').next().expect("one").to_owned()
}

/// C.1.3. Red when the page of a QR code does not say that the app takes no second account of the same name.
#[test]
fn a_page_says_what_to_delete() {
    let (rig, key) = scene();
    for definition in ["login", "replace-phone"] {
        let flow = Flow::of(rig.loopback(Some(&key)), definition, "alice");
        uri(&flow);
        let cookie = browser(&rig, &flow);
        let shown = read_answer(&mut get(&rig, "/ui/mfa/register", &cookie)).expect("an answer").expect(200);
        assert!(shown.text().contains("delete it there first"), "{definition}: {}", shown.text());
    }
}

/// SMS-38 for phones. Red when a page that waits for a phone keeps the daemon from its end, or is cut off by it.
#[test]
fn the_end_of_the_daemon_answers_a_page_that_waits() {
    let (mut rig, key) = scene();
    let flow = Flow::of(rig.loopback(Some(&key)), "login", "alice");
    uri(&flow);
    let cookie = browser(&rig, &flow);
    let shown = read_answer(&mut get(&rig, "/ui/mfa/register", &cookie)).expect("an answer").expect(200);
    assert!(shown.text().contains("mfauth://"), "{}", shown.text());
    let mut held = get(&rig, "/ui/mfa/register?hold=1", &cookie);
    std::thread::park_timeout(UNDER_WAY);
    assert!(rig.stop().success());
    // A request that had not been read yet is cut off.
    if let Ok(answer) = read_answer(&mut held) {
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert!(!rig.log_text().contains("connections were still open at the end"));
}
