//! Users are told, by another channel than the phone, of what was done with phones and recovery codes (D-36, D-42).

use serde_json::{Value, json};
use tests::appliance::MANY_MESSAGES;
use tests::device::{Choice, Personality};
use tests::handset::{Handset, Registered, register};
use tests::mailsink::MailSink;
use tests::{Appliance, Client, PATIENCE, RigOptions, phones, wait_until};

const ALICE: &str = "+41791234561";
const KIND: (&str, Personality) = ("combined", Personality::PingNew);

fn rig(tables: &str) -> (Appliance, Client) {
    phones::with(RigOptions::with_modem().config(&format!("{tables}\n{MANY_MESSAGES}")))
}

fn mail(sink: &MailSink) -> String {
    let port = sink.address.port();
    format!("[mail]\nhost = \"127.0.0.1\"\nport = {port}\nfrom = \"login@example.org\"\n")
}

fn texts(rig: &Appliance, number: &str) -> Vec<String> {
    rig.modem().messages_to(number).into_iter().filter_map(|message| message.text).collect()
}

/// Notices to a user, as their events tell: which, and how.
fn told(rig: &Appliance, user: &str) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut events = rig.events(&format!("type=notice.sent&user={user}"));
    events.extend(rig.events(&format!("type=notice.not_sent&user={user}")));
    events.sort_by_key(|event| event["seq"].as_i64());
    let how = |event: &Value| match event["reason"].as_str() {
        Some(reason) => reason.to_owned(),
        None => text(&event["subject"]["channel"]),
    };
    events.iter().map(|event| (text(&event["subject"]["notice"]), how(event))).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(notice, how)| ((*notice).to_owned(), (*how).to_owned())).collect()
}

fn recover(client: &mut Client, user: &str, shown: &Value) {
    let asked =
        client.post("/v1/challenges", &json!({"user": user, "channel": "recovery"})).expect(201).json();
    let path = format!("/v1/challenges/{}/verify", asked["id"].as_str().expect("a handle"));
    assert!(client.post(&path, &json!({"otp": shown["recovery_codes"][0]})).accepted());
}

/// D-36, C.5. Red when somebody else registers a phone, replaces it or logs in by a recovery code, and the user hears nothing.
#[test]
fn a_user_with_a_number_is_told_by_text() {
    let (rig, mut client) = rig("[push]\n");
    rig.user("alice");
    rig.phone("alice", ALICE);
    let first = register(&rig, &mut client, "alice", KIND);
    assert!(
        rig.modem().await_message(ALICE, 1).text.is_some_and(|text| text.contains("A phone was registered"))
    );
    recover(&mut client, "alice", &first.shown);
    let text = rig.modem().await_message(ALICE, 2).text.expect("a text");
    assert!(text.contains("recovery code was used") && text.contains('9'), "{text}");
    let wish = json!({"kind": "combined", "replace": true});
    let begun = client.post("/v1/users/alice/registrations", &wish).expect(201).json();
    let mut second = Handset::new(&rig, Personality::PingNew, "second");
    assert_eq!(second.register(begun["uri"].as_str().expect("a text")).1.status, 200);
    assert!(
        rig.modem().await_message(ALICE, 3).text.is_some_and(|text| text.contains("in place of the former"))
    );
    for address in ["poll:second", "poll:elsewhere"] {
        let moved = second.phone.refresh(0, address);
        assert_eq!(second.send(&moved).status, 200);
    }
    assert!(rig.modem().await_message(ALICE, 4).text.is_some_and(|text| text.contains("another address")));
    let expected =
        [("phone_bound", "sms"), ("recovery_used", "sms"), ("phone_replaced", "sms"), ("phone_moved", "sms")];
    assert_eq!(told(&rig, "alice"), pairs(&expected));
    rig.check_chain();
}

/// D-42. Red when a person who denies twice what somebody else begins is not told that somebody has the password.
#[test]
fn two_denials_are_told() {
    let (rig, mut client) = rig("[push]\n");
    rig.user("alice");
    rig.phone("alice", ALICE);
    let Registered { mut handset, account, .. } = register(&rig, &mut client, "alice", KIND);
    rig.modem().await_message(ALICE, 1);
    for nth in 1..=2 {
        let wish = json!({"user": "alice", "channel": "push"});
        // The pause after a denial is a minute: the store says that it is over.
        let store = phones::database(&rig);
        store.execute("UPDATE challenge SET denied_boot_ms = denied_boot_ms - 61000", []).expect("a write");
        client.post("/v1/challenges", &wish).expect(201);
        let notice = handset.notice(account);
        assert_eq!(handset.answer(&notice, Choice::Deny).status, 200);
        assert_eq!(rig.events("type=push.denied_repeatedly&user=alice").len(), nth / 2);
    }
    let text = rig.modem().await_message(ALICE, 2).text.expect("a text");
    assert!(text.contains("refused on your phone"), "{text}");
    assert_eq!(told(&rig, "alice"), pairs(&[("phone_bound", "sms"), ("push_denied", "sms")]));
}

/// D-36, D-42. Red when denials, which whoever knows a password can cause without end, use up what would tell a person that
/// another phone takes the place of theirs.
#[test]
fn denials_use_up_no_notice_of_another_phone() {
    let (rig, mut client) = rig("[push]\n[push.notice]\nper_day = 2\ndenied_per_day = 1\n");
    rig.user("alice");
    rig.phone("alice", ALICE);
    let Registered { mut handset, account, .. } = register(&rig, &mut client, "alice", KIND);
    for _ in 0..3 {
        let over = "UPDATE challenge SET denied_boot_ms = denied_boot_ms - 61000";
        phones::database(&rig).execute(over, []).expect(over);
        phones::push(&mut client, "alice");
        let notice = handset.notice(account);
        assert_eq!(handset.answer(&notice, Choice::Deny).status, 200);
    }
    let wish = json!({"kind": "combined", "replace": true});
    let begun = client.post("/v1/users/alice/registrations", &wish).expect(201).json();
    let mut second = Handset::new(&rig, Personality::PingNew, "second");
    assert_eq!(second.register(begun["uri"].as_str().expect("a text")).1.status, 200);
    let expected = [
        ("phone_bound", "sms"),
        ("push_denied", "sms"),
        ("push_denied", "limited"),
        ("phone_replaced", "sms"),
    ];
    assert_eq!(told(&rig, "alice"), pairs(&expected));
}

/// D-36. Red when a user without a number is not told by mail, or when a relay that takes nothing keeps the phone waiting
/// or from being registered.
#[test]
fn a_user_without_a_number_is_told_by_mail_or_not_at_all() {
    let sink = MailSink::start();
    let (rig, mut client) = rig(&format!("{}[push]\n", mail(&sink)));
    rig.user("carol");
    rig.admin().post("/v1/users", &json!({"name": "bob", "lang": "de"})).expect(201);
    rig.admin().put("/v1/users/bob/email", &json!({"email": "bob@example.org"})).expect(200);
    let bob = register(&rig, &mut client, "bob", KIND);
    let taken = sink.next();
    assert_eq!(taken.to, ["bob@example.org"]);
    assert!(taken.text.contains("Subject: Ihr Konto"), "{}", taken.text);
    wait_until(PATIENCE, "the event", || {
        (told(&rig, "bob") == pairs(&[("phone_bound", "email")])).then_some(())
    });
    recover(&mut client, "bob", &bob.shown);
    assert_eq!(sink.next().to, ["bob@example.org"]);
    let carol = register(&rig, &mut client, "carol", KIND);
    assert_eq!(carol.shown["outcome"], "success");
    assert_eq!(told(&rig, "carol"), pairs(&[("phone_bound", "no_channel")]));
    assert!(rig.modem().messages().is_empty());
    rig.check_chain();
}

/// Red when a relay that is not there keeps a phone from being registered, or nobody learns that the mail was not taken.
#[test]
fn a_relay_that_is_away_keeps_nothing_from_happening() {
    let gone =
        std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port").local_addr().expect("bound").port();
    let tables =
        format!("[mail]\nhost = \"127.0.0.1\"\nport = {gone}\nfrom = \"login@example.org\"\n[push]\n");
    let (rig, mut client) = rig(&tables);
    rig.user("bob");
    rig.admin().put("/v1/users/bob/email", &json!({"email": "bob@example.org"})).expect(200);
    let bob = register(&rig, &mut client, "bob", KIND);
    assert_eq!(bob.shown["outcome"], "success");
    wait_until(PATIENCE, "the event", || {
        (told(&rig, "bob") == pairs(&[("phone_bound", "relay")])).then_some(())
    });
}

/// Red when the configuration cannot say by which channels users are told, or whoever repeats an act makes a phone ring
/// without end.
#[test]
fn channels_and_their_number_are_configured() {
    let sink = MailSink::start();
    let tables = format!("{}[push]\n[push.notice]\nchannels = [\"email\"]\nper_day = 1\n", mail(&sink));
    let (rig, mut client) = rig(&tables);
    rig.user("alice");
    rig.phone("alice", ALICE);
    rig.admin().put("/v1/users/alice/email", &json!({"email": "alice@example.org"})).expect(200);
    let alice = register(&rig, &mut client, "alice", KIND);
    assert_eq!(sink.next().to, ["alice@example.org"]);
    recover(&mut client, "alice", &alice.shown);
    let expected = pairs(&[("phone_bound", "email"), ("recovery_used", "limited")]);
    wait_until(PATIENCE, "the events", || {
        let mut said = told(&rig, "alice");
        said.sort();
        (said == expected).then_some(())
    });
    assert!(sink.try_next().is_none() && texts(&rig, ALICE).is_empty());

    let (rig, mut client) = self::rig("[push]\n[push.notice]\nchannels = []\n");
    rig.user("alice");
    rig.phone("alice", ALICE);
    register(&rig, &mut client, "alice", KIND);
    assert!(told(&rig, "alice").is_empty() && texts(&rig, ALICE).is_empty());

    for (tables, key) in [
        ("[push.notice]\nchannels = [\"letter\"]\n", "push.notice.channels: must be sms or email"),
        ("[push.notice]\nchannels = [\"sms\", \"sms\"]\n", "push.notice.channels: is there twice"),
        ("[push.notice]\nper_day = 0\n", "push.notice.per_day: must be 1 to 100"),
        ("[push.notice]\ndenied_per_day = 101\n", "push.notice.denied_per_day: must be 1 to 100"),
    ] {
        let options =
            RigOptions { pages: true, ..RigOptions::default().config(&format!("[push]\n{tables}")) };
        let output = Appliance::prepare(options).cli(&["config", "check"]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.code() == Some(2) && said.contains(key), "{said}");
    }
}
