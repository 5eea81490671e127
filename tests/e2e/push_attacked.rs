//! What strangers send to the place where phones answer, what another phone of the house can do, and what a database
//! writer can change: none of it lets anybody in. COMB-38, D-40, D-41, A22, A26.

use std::sync::Barrier;
use std::thread;

use rusqlite::Connection;
use serde_json::{Value, json};
use tests::device::encoding::{jwt, mac, standard};
use tests::device::{Choice, Personality, Request};
use tests::handset::{Handset, REFUSED, Registered, begin, register};
use tests::phones::{AUTHENTICATE, REGISTER, SCOPES, database, push, refusals, rig, rig_with, right, state};
use tests::time::unix_ms;
use tests::{Answer, Client, PATIENCE, wait_until};

const PING: Personality = Personality::PingNew;

/// The one refusal that there is.
#[track_caller]
fn refused(answer: &Answer, what: &str) {
    assert_eq!((answer.status, answer.text().as_str()), (400, REFUSED), "{what}");
    assert_eq!(answer.header("content-type"), Some("application/json"), "{what}");
}

fn secret_of(registered: &Registered) -> Vec<u8> {
    registered.handset.phone.accounts()[registered.account].push.as_ref().expect("push").secret.to_vec()
}

fn reply(message: &str, key: &[u8], challenge: &[u8], more: &[(&'static str, Value)]) -> String {
    let mut claims = vec![("response", json!(standard(&mac(key, challenge))))];
    claims.extend(more.iter().cloned());
    json!({"messageId": message, "jwt": jwt(PING, key, &claims)}).to_string()
}

fn device(address: &str) -> Vec<(&'static str, Value)> {
    vec![
        ("mechanismUid", json!("11111111-2222-4333-8444-555555555555")),
        ("deviceId", json!(address)),
        ("deviceName", json!("Mallory's")),
        ("deviceType", json!("android")),
        ("communicationType", json!("gcm")),
    ]
}

/// COMB-37, COMB-38, COMB-39, COMB-47, D-40. Red when a reply with another key, another response, another registration's
/// or a wrong shape registers anything, or when one refusal differs from another.
#[test]
fn a_registration_takes_its_own_phones_reply_alone() {
    let (rig, mut client) = rig();
    rig.user("alice");
    rig.user("mallory");
    let (mine, other) = (begin(&mut client, "alice", "combined"), begin(&mut client, "mallory", "combined"));
    let mut phone = Handset::new(&rig, PING, "alice");
    let mut stranger = Handset::new(&rig, PING, "mallory");
    let scanned = phone.phone.scan(mine["uri"].as_str().expect("a text")).expect("taken");
    let theirs = stranger.phone.scan(other["uri"].as_str().expect("a text")).expect("taken");
    let push = phone.phone.accounts()[scanned.account].push.clone().expect("push");
    let foreign = stranger.phone.accounts()[theirs.account].push.clone().expect("push");
    let good = scanned.request.expect("a reply");
    let send = |what: &str, path: &str, body: &[u8]| {
        refused(&rig.loopback(None).send("POST", path, Some(body)).expect("an answer"), what);
    };
    let told = device("poll:mallory");
    let forged = reply(&push.message, &foreign.secret, &push.challenge, &told);
    send("another's key", REGISTER, forged.as_bytes());
    send(
        "another's challenge",
        REGISTER,
        reply(&push.message, &push.secret, &foreign.challenge, &told).as_bytes(),
    );
    send("no device", REGISTER, reply(&push.message, &push.secret, &push.challenge, &[]).as_bytes());
    let unknown = "REGISTER:0b7f6c1e-6a55-4d0e-9d0a-3f2f6f3f6a011767225600000";
    send("an unknown message", REGISTER, reply(unknown, &push.secret, &push.challenge, &told).as_bytes());
    send("another action", AUTHENTICATE, good.body.as_bytes());
    send("no action", "/json/push/sns/message", good.body.as_bytes());
    send("one action more", &format!("{REGISTER}&x=1"), good.body.as_bytes());
    send("no JSON", REGISTER, b"{");
    send("nothing", REGISTER, b"");
    send("too long", REGISTER, &[b' '; 9 * 1024]);
    let swapped = good.body.replace(&push.message, &foreign.message);
    send("another registration's name", REGISTER, swapped.as_bytes());
    let unsigned = json!({"messageId": push.message, "jwt": "eyJhbGciOiJub25lIn0.e30."});
    send("unsigned", REGISTER, unsigned.to_string().as_bytes());
    assert!(!rig.events("type=push.bad_signature&user=alice").is_empty());
    let path = format!("/v1/users/alice/registrations/{}", mine["id"].as_str().expect("a handle"));
    assert_eq!(client.get(&path).expect(200).json()["state"], "waiting", "nothing of it changed anything");
    assert_eq!(phone.send(&good).status, 200, "the right one");
    refused(&phone.send(&good), "repeated");
    assert_eq!(client.get(&path).expect(200).json()["outcome"], "success");
}

/// COMB-38, D-40: a phone's message is tried so often, and others do not notice.
#[test]
fn one_message_is_not_tried_without_end() {
    let (rig, mut client) = rig();
    rig.user("alice");
    rig.user("bob");
    let begun = begin(&mut client, "alice", "push");
    let mut phone = Handset::new(&rig, PING, "alice");
    let scanned = phone.phone.scan(begun["uri"].as_str().expect("a text")).expect("taken");
    let push = phone.phone.accounts()[scanned.account].push.clone().expect("push");
    let forged = reply(&push.message, &[7; 32], &push.challenge, &device("poll:x"));
    for _ in 0..60 {
        refused(
            &rig.loopback(None).send("POST", REGISTER, Some(forged.as_bytes())).expect("an answer"),
            "forged",
        );
    }
    wait_until(PATIENCE, "all of them", || {
        let told = refusals(&rig, "push.bad_signature") + refusals(&rig, "mfa.reply_refused");
        (told == 60).then_some(())
    });
    let evaluated = refusals(&rig, "push.bad_signature");
    assert!((1..60).contains(&evaluated), "{evaluated} of 60 were looked at");
    assert_eq!(register(&rig, &mut client, "bob", ("push", PING)).shown["outcome"], "success");
}

/// Runs an act eight times at once; what each gave.
fn at_once<T: Send>(act: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let barrier = Barrier::new(8);
    thread::scope(|scope| {
        let one = |n| {
            let (barrier, act) = (&barrier, &act);
            scope.spawn(move || {
                barrier.wait();
                act(n)
            })
        };
        let tries: Vec<_> = (0..8).map(one).collect();
        tries.into_iter().map(|one| one.join().expect("a thread")).collect()
    })
}

/// COMB-37, COMB-39, A1. Red when two phones that scanned the same code are both registered, or one reply twice.
#[test]
fn of_eight_phones_with_one_code_one_is_registered() {
    let (rig, mut client) = rig();
    for round in 0..5 {
        let user = format!("alice-{round}");
        rig.user(&user);
        let begun = begin(&mut client, &user, "combined");
        let mut phone = Handset::new(&rig, PING, &user);
        let scanned = phone.phone.scan(begun["uri"].as_str().expect("a text")).expect("taken");
        let push = phone.phone.accounts()[scanned.account].push.clone().expect("push");
        let statuses = at_once(|n| {
            let mut told = device("poll:x");
            told[0].1 = json!(format!("11111111-2222-4333-8444-5555555{round}000{n}"));
            let body = reply(&push.message, &push.secret, &push.challenge, &told);
            rig.loopback(None).send("POST", REGISTER, Some(body.as_bytes())).expect("an answer").status
        });
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
        let phones = client.get(&format!("/v1/users/{user}/push")).expect(200).json();
        assert_eq!(phones["items"].as_array().map(Vec::len), Some(1));
        assert_eq!(rig.events(&format!("type=mfa.registered&user={user}")).len(), 1);
    }
}

/// COMB-43, A1. Red when a recovery code is taken twice by applications that ask at once, or its set is told twice.
#[test]
fn a_recovery_code_is_taken_by_one_of_eight() {
    let (rig, mut client) = rig();
    rig.user("alice");
    let begun = begin(&mut client, "alice", "combined");
    let mut phone = Handset::new(&rig, PING, "alice");
    assert_eq!(phone.register(begun["uri"].as_str().expect("a text")).1.status, 200);
    let path = format!("/v1/users/alice/registrations/{}", begun["id"].as_str().expect("a handle"));
    let key = rig.app_key("desk", &SCOPES);
    assert_eq!(rig.loopback(Some(&key)).get(&path).status, 410, "another application's");
    let shown = client.get(&path).expect(200).json();
    let keys: Vec<String> = (0..8).map(|n| rig.app_key(&format!("vpn-{n}"), &SCOPES)).collect();
    for code in shown["recovery_codes"].as_array().expect("codes").iter().take(4) {
        let asked: Vec<String> = keys
            .iter()
            .map(|key| {
                let wish = json!({"user": "alice", "channel": "recovery"});
                let made = rig.loopback(Some(key)).post("/v1/challenges", &wish).expect(201).json();
                format!("/v1/challenges/{}/verify", made["id"].as_str().expect("a handle"))
            })
            .collect();
        let accepted =
            at_once(|n| rig.loopback(Some(&keys[n])).post(&asked[n], &json!({"otp": code})).accepted());
        assert_eq!(accepted.iter().filter(|accepted| **accepted).count(), 1, "{accepted:?}");
    }
    assert_eq!(rig.events("type=recovery.used&user=alice").len(), 4);
}

/// COMB-45, A1, A26. Red when somebody else's answer counts, or one of two at once counts twice.
#[test]
fn a_push_takes_its_own_phones_answer_alone() {
    let (rig, mut client) = rig();
    rig.user("alice");
    rig.user("mallory");
    let mut alice = register(&rig, &mut client, "alice", ("combined", PING));
    let mallory = register(&rig, &mut client, "mallory", ("combined", PING));
    let asked = push(&mut client, "alice");
    let notice = alice.handset.notice(alice.account);
    let message_id = notice.message_id.clone();
    let genuine = alice.handset.phone.respond(&notice, right(&asked));
    let body: Value = serde_json::from_str(&genuine.body).expect("JSON");
    let own = secret_of(&alice);
    let send = |what: &str, body: &str| {
        let answer = rig.loopback(None).send("POST", AUTHENTICATE, Some(body.as_bytes())).expect("an answer");
        refused(&answer, what);
    };
    send("another's key", &reply(&message_id, &secret_of(&mallory), &[0; 32], &[]));
    send("no challenge", &reply(&message_id, &own, &[0; 32], &[("challengeResponse", json!("42"))]));
    let cut = body["jwt"].as_str().expect("a text");
    send("cut", &json!({"messageId": message_id, "jwt": &cut[..cut.len() - 2]}).to_string());
    send("a number that is none", &reply(&message_id, &own, &[0; 32], &[("challengeResponse", json!(42))]));
    let gone = message_id.replace(&message_id[14..22], "00000000");
    send("an unknown message", &json!({"messageId": gone, "jwt": cut}).to_string());
    assert_eq!(state(&mut client, &asked), "waiting");
    let statuses = at_once(|_| {
        let sent = rig.loopback(None).send("POST", AUTHENTICATE, Some(genuine.body.as_bytes()));
        sent.expect("an answer").status
    });
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert_eq!(rig.events("type=push.approved&user=alice").len(), 1);
    let path = format!("/v1/challenges/{}/verify", asked["id"].as_str().expect("a handle"));
    let key = rig.app_key("vpn", &SCOPES);
    assert!(rig.loopback(Some(&key)).post(&path, &json!({"otp": ""})).rejected(), "another application");
    let fetched: usize = (0..8).filter(|_| client.post(&path, &json!({"otp": ""})).accepted()).count();
    assert_eq!(fetched, 1);
}

/// C.5, COMB-47, D-41. Red when an older address can be set again, or a stranger sets one.
#[test]
fn a_new_address_counts_once() {
    let (rig, mut client) = rig();
    rig.user("alice");
    rig.user("mallory");
    let mut alice = register(&rig, &mut client, "alice", ("push", Personality::IosLegacy));
    let mut mallory = register(&rig, &mut client, "mallory", ("push", PING));
    let first = alice.handset.phone.refresh(alice.account, "poll:alice-2");
    let foreign = mallory.handset.phone.refresh(mallory.account, "poll:mallory-2");
    let uid = |registered: &Registered| {
        registered.handset.phone.accounts()[registered.account].push.as_ref().expect("push").uid.clone()
    };
    let (hers, theirs) = (uid(&alice), uid(&mallory));
    let forged = Request { body: foreign.body.replace(&theirs, &hers), ..foreign.clone() };
    refused(&mallory.handset.send(&forged), "another's key");
    assert_eq!(rig.events("type=push.bad_signature&user=alice").len(), 1);
    assert_eq!(alice.handset.send(&first).status, 200);
    refused(&alice.handset.send(&first), "the same message again");
    let second = alice.handset.phone.refresh(alice.account, "poll:alice-3");
    assert_eq!(alice.handset.send(&second).status, 200);
    refused(&alice.handset.send(&first), "an older one");
    assert_eq!(rig.events("type=push.device_refreshed&user=alice").len(), 2);
    let asked = push(&mut client, "alice");
    let notice = alice.handset.notice(alice.account);
    assert_eq!(alice.handset.answer(&notice, right(&asked)).status, 200, "it goes on");
    let (rig, mut client) = rig_with("[push]\nrefresh = false\n");
    rig.user("alice");
    let mut alice = register(&rig, &mut client, "alice", ("push", PING));
    let new = alice.handset.phone.refresh(alice.account, "poll:alice-2");
    refused(&alice.handset.send(&new), "switched off");
}

/// C.11. Red when a fetch without the phone's key, or with an old time, tells anything.
#[test]
fn a_fetch_shows_the_key_and_the_time() {
    let (rig, mut client) = rig();
    rig.user("alice");
    rig.user("mallory");
    let mut alice = register(&rig, &mut client, "alice", ("push", PING));
    let mallory = register(&rig, &mut client, "mallory", ("push", PING));
    push(&mut client, "alice");
    alice.handset.notice(alice.account);
    let (own, foreign, now) = (secret_of(&alice), secret_of(&mallory), unix_ms());
    let query = |handset: &Handset, key: &[u8], at| handset.query(alice.account, key, at);
    for (what, query) in [
        ("another's key", query(&alice.handset, &foreign, now)),
        ("an old time", query(&alice.handset, &own, now - 120_000)),
        ("a time to come", query(&alice.handset, &own, now + 120_000)),
        (
            "another time than signed",
            query(&alice.handset, &own, now).replace(&now.to_string(), &(now + 1).to_string()),
        ),
        ("nothing", "/json/push/poll".to_owned()),
        ("one more", format!("{}&x=1", query(&alice.handset, &own, now))),
    ] {
        refused(&alice.handset.get(&query), what);
    }
    let good = query(&alice.handset, &own, now);
    assert_eq!(alice.handset.get(&good).expect(200).json()["messages"].as_array().map(Vec::len), Some(1));
}

/// D-40: a listener for phones serves them, and nothing else.
#[test]
fn a_listener_for_phones_serves_nothing_else() {
    let port = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port").local_addr().expect("bound");
    let (rig, mut client) = rig_with(&format!(
        "[push]\n[[listen]]\nkind = \"http\"\naddress = \"{port}\"\npurpose = \"phones\"\n"
    ));
    rig.user("alice");
    let key = rig.app_key("vpn", &SCOPES);
    let mut outside = Client::new(tests::http::Endpoint::Tcp(port), Some(&key));
    for path in ["/healthz", "/readyz", "/metrics", "/openapi.json", "/v1/users", "/ui/login", "/"] {
        refused(&outside.get(path), path);
    }
    refused(&outside.post("/v1/verify", &json!({"user": "alice", "otp": "123456"})), "verify");
    refused(&outside.get("/json/push/sns/message?_action=register"), "another method");
    let begun = begin(&mut client, "alice", "push");
    let mut phone = Handset::new(&rig, PING, "alice");
    let request =
        phone.phone.scan(begun["uri"].as_str().expect("a text")).expect("taken").request.expect("a reply");
    let taken = outside.send("POST", REGISTER, Some(request.body.as_bytes())).expect("an answer");
    assert_eq!((taken.status, taken.text().as_str()), (200, "{}"));
    // The picture that the QR code tells of is the one thing besides.
    assert_eq!(outside.get("/static/logo.png").status, 404, "none is set");
    let picture = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x40\0\0\0\x40\x08\x06\0\0\0";
    rig.admin().send("PUT", "/v1/mfa/logo", Some(picture)).expect("an answer").expect(200);
    assert_eq!(outside.get("/static/logo.png").expect(200).body, picture);
    refused(&outside.get("/v1/mfa/logo"), "what is known of it");
}

/// Runs an act under each change of a table's only row, and puts the row back.
fn under_each(
    store: &Connection,
    (table, key): (&str, &str),
    changes: &[(&str, &str)],
    mut act: impl FnMut(&str),
) {
    store
        .execute_batch(&format!("DROP TABLE IF EXISTS kept; CREATE TEMP TABLE kept AS SELECT * FROM {table}"))
        .expect("a copy");
    for (what, there) in changes {
        let changed = store.execute(&format!("UPDATE {table} SET {there}"), []).expect(there);
        assert!(changed >= 1, "{what}");
        act(what);
        let columns: Vec<String> = store
            .prepare("SELECT name FROM pragma_table_info(?1)")
            .expect("a pragma")
            .query_map([table], |row| row.get(0))
            .expect("a pragma")
            .collect::<Result<_, _>>()
            .expect("names");
        let back: Vec<String> = columns
            .iter()
            .map(|name| format!("{name} = (SELECT {name} FROM kept WHERE kept.{key} = {table}.{key})"))
            .collect();
        store.execute(&format!("UPDATE {table} SET {}", back.join(", ")), []).expect("put back");
    }
}

/// One way to change a registration that waits.
const REGISTRATION_CHANGES: [(&str, &str); 8] = [
    ("state", "state = 'registered'"),
    ("kind", "kind = 'push'"),
    ("codes", "codes = 'unread'"),
    ("user", "user_id = (SELECT id FROM user WHERE name = 'mallory')"),
    ("time", "until_boot_ms = until_boot_ms + 600000"),
    ("prepared", "prepared = zeroblob(64)"),
    ("reason", "reason = 'x'"),
    ("MAC", "mac = zeroblob(32)"),
];

/// A22, COMB-39. Red when a column of a registration is left out of its MAC: who may write to the database moves a
/// registration to another person, or lets it wait for ever.
#[test]
fn a_changed_registration_registers_nobody() {
    let (rig, mut client) = rig();
    rig.user("alice");
    rig.user("mallory");
    let begun = begin(&mut client, "alice", "combined");
    let path = format!("/v1/users/alice/registrations/{}", begun["id"].as_str().expect("a handle"));
    let mut phone = Handset::new(&rig, PING, "alice");
    let request =
        phone.phone.scan(begun["uri"].as_str().expect("a text")).expect("taken").request.expect("a reply");
    let store = database(&rig);
    let mut seen = 0;
    under_each(&store, ("registration", "id"), &REGISTRATION_CHANGES, |what| {
        refused(&phone.send(&request), what);
        let shown = client.get(&path);
        assert!(shown.status == 503 || shown.status == 410, "{what}: {} {}", shown.status, shown.text());
        let now = rig.events("type=store.tampered").len();
        assert!(now > seen, "{what}: nobody was told");
        seen = now;
    });
    let count = "SELECT (SELECT count(*) FROM push_device) + (SELECT count(*) FROM token)";
    assert_eq!(store.query_row(count, [], |row| row.get::<_, i64>(0)).expect(count), 0);
    assert_eq!(phone.send(&request).status, 200, "as it was");
}

/// One way to change a phone.
const DEVICE_CHANGES: [(&str, &str); 9] = [
    ("lifecycle", "lifecycle = 'suspended'"),
    ("user", "user_id = (SELECT id FROM user WHERE name = 'mallory')"),
    ("record", "record = zeroblob(50)"),
    ("record MAC", "record_mac = zeroblob(32)"),
    ("address", "device = zeroblob(40)"),
    ("pair", "pair_id = NULL"),
    ("level", "loa = 3.0"),
    ("addresses", "refreshed = x'00'"),
    ("MAC", "mac = zeroblob(32)"),
];

/// A22. Red when a column of a phone is left out of its MAC: who may write to the database raises a level of assurance,
/// or gives a phone to another person.
#[test]
fn a_changed_phone_approves_nothing() {
    let (rig, mut client) = rig();
    rig.user("alice");
    rig.user("mallory");
    let mut alice = register(&rig, &mut client, "alice", ("combined", PING));
    let asked = push(&mut client, "alice");
    let notice = alice.handset.notice(alice.account);
    let request = alice.handset.phone.respond(&notice, right(&asked));
    let store = database(&rig);
    under_each(&store, ("push_device", "id"), &DEVICE_CHANGES, |what| {
        refused(&alice.handset.send(&request), what);
        assert_eq!(state(&mut client, &asked), "waiting", "{what}");
        let again = client.post("/v1/challenges", &json!({"user": "alice", "channel": "push"}));
        assert!([404, 503].contains(&again.status), "{what}: {} {}", again.status, again.text());
    });
    assert!(!rig.events("type=store.tampered").is_empty());
    assert_eq!(alice.handset.send(&request).status, 200, "as it was");
}

/// A22, D-34. Red when a level that was lowered past the appliance decides over what may take the place of a phone, or of
/// the codes on it.
#[test]
fn a_changed_level_is_no_way_around() {
    let (rig, mut client) = rig();
    rig.user("alice");
    let _alice = register(&rig, &mut client, "alice", ("combined", PING));
    let store = database(&rig);
    for table in ["push_device", "token"] {
        under_each(&store, (table, "id"), &[("level", "loa = 0.5")], |what| {
            let wish = json!({"kind": "combined", "replace": true});
            let begun = client.post("/v1/users/alice/registrations", &wish);
            assert_eq!(begun.status, 503, "{table} {what}: {}", begun.text());
        });
    }
    assert_eq!(rig.events("type=store.tampered").len(), 2);
}

/// One way to change a push that waits.
const CHALLENGE_CHANGES: [(&str, &str); 8] = [
    ("state", "state = 'verified'"),
    ("number", "number = 10"),
    ("no number", "number = NULL"),
    ("nonce", "nonce = zeroblob(32)"),
    ("message", "message = zeroblob(16)"),
    ("user", "user_id = (SELECT id FROM user WHERE name = 'mallory')"),
    ("time", "expires_boot_ms = expires_boot_ms + 600000"),
    ("MAC", "state_mac = zeroblob(32)"),
];

/// A22, COMB-42. Red when a column of a push is left out of its MAC: who may write to the database approves a login, or
/// takes the number away that the person has to tap.
#[test]
fn a_changed_push_lets_nobody_in() {
    let (rig, mut client) = rig();
    rig.user("alice");
    rig.user("mallory");
    let mut alice = register(&rig, &mut client, "alice", ("combined", PING));
    let asked = push(&mut client, "alice");
    let notice = alice.handset.notice(alice.account);
    let request = alice.handset.phone.respond(&notice, Choice::Approve);
    let path = format!("/v1/challenges/{}/verify", asked["id"].as_str().expect("a handle"));
    let store = database(&rig);
    under_each(&store, ("challenge", "id"), &CHALLENGE_CHANGES, |what| {
        refused(&alice.handset.send(&request), what);
        let fetched = client.post(&path, &json!({"otp": ""}));
        assert!(!fetched.accepted(), "{what}: {}", fetched.text());
    });
    assert!(!rig.events("type=store.tampered").is_empty());
    assert!(rig.events("type=push.approved").is_empty());
    assert_eq!(alice.handset.answer(&notice, right(&asked)).status, 200, "as it was");
}

/// A22. Red when a message that was changed past the appliance is handed to a phone, or one of another push.
#[test]
fn a_changed_message_is_not_handed_out() {
    let (rig, mut client) = rig();
    for user in ["alice", "mallory"] {
        rig.user(user);
    }
    let mut alice = register(&rig, &mut client, "alice", ("push", PING));
    let mallory = register(&rig, &mut client, "mallory", ("push", PING));
    push(&mut client, "alice");
    alice.handset.notice(alice.account);
    let own = secret_of(&alice);
    drop(mallory);
    let store = database(&rig);
    let changes = [
        ("sealed", "sealed = zeroblob(200)"),
        (
            "phone",
            "device_id = (SELECT id FROM push_device WHERE serial = (SELECT max(serial) FROM push_device)), id = id || 'x'",
        ),
        ("name", "id = 'AUTHENTICATE:0b7f6c1e-6a55-4d0e-9d0a-3f2f6f3f6a011767225600000'"),
    ];
    for (what, there) in changes {
        let copy = "DROP TABLE IF EXISTS kept; CREATE TEMP TABLE kept AS SELECT * FROM push_message";
        store.execute_batch(copy).expect("a copy");
        assert_eq!(store.execute(&format!("UPDATE push_message SET {there}"), []).expect(there), 1);
        let told = alice.handset.get(&alice.handset.query(alice.account, &own, unix_ms()));
        let empty = told.status == 200 && told.json()["messages"].as_array().is_some_and(Vec::is_empty);
        assert!(told.status == 400 || empty, "{what}: {}", told.text());
        store
            .execute_batch("DELETE FROM push_message; INSERT INTO push_message SELECT * FROM kept")
            .expect("put back");
    }
    assert_eq!(alice.handset.messages(alice.account).len(), 1, "as it was");
}

/// One way to change recovery codes.
const RECOVERY_CHANGES: [(&str, &str); 5] = [
    ("used", "used = '0000000000'"),
    ("marks", "marks = zeroblob(320)"),
    ("user", "user_id = (SELECT id FROM user WHERE name = 'mallory')"),
    ("created", "created_at = created_at + 1"),
    ("MAC", "mac = zeroblob(32)"),
];

/// A22, COMB-43. Red when a used recovery code is good again for who may write to the database.
#[test]
fn changed_recovery_codes_recover_nothing() {
    let (rig, mut client) = rig();
    rig.user("alice");
    rig.user("mallory");
    let alice = register(&rig, &mut client, "alice", ("combined", PING));
    let code = alice.shown["recovery_codes"][0].as_str().expect("a code");
    let mut recover = |user: &str| {
        let asked = client.post("/v1/challenges", &json!({"user": user, "channel": "recovery"}));
        if asked.status != 201 {
            return asked;
        }
        let path = format!("/v1/challenges/{}/verify", asked.json()["id"].as_str().expect("a handle"));
        client.post(&path, &json!({"otp": code}))
    };
    assert!(recover("alice").accepted());
    let store = database(&rig);
    under_each(&store, ("recovery_set", "id"), &RECOVERY_CHANGES, |what| {
        for user in ["alice", "mallory"] {
            let answer = recover(user);
            assert!(!answer.accepted(), "{what}: {}", answer.text());
        }
    });
    assert!(!rig.events("type=store.tampered").is_empty());
    assert!(recover("alice").rejected(), "used is used");
}

/// A29. Red when a secret of a phone, a recovery code or a push address can be read in the store or in the log.
#[test]
fn secrets_and_addresses_are_nowhere_in_clear() {
    let (rig, mut client) = rig();
    rig.user("alice");
    let mut alice = register(&rig, &mut client, "alice", ("combined", PING));
    push(&mut client, "alice");
    let message = alice.handset.messages(alice.account);
    let account = alice.handset.phone.accounts()[alice.account].clone();
    let push = account.push.expect("push");
    let mut texts: Vec<Vec<u8>> = vec![
        push.secret.to_vec(),
        data_encoding::BASE64URL_NOPAD.encode(&push.secret).into_bytes(),
        b"poll:alice".to_vec(),
        b"Pixel 8".to_vec(),
    ];
    let codes = alice.shown["recovery_codes"].as_array().expect("codes");
    for code in codes.iter().filter_map(Value::as_str) {
        texts.push(code.as_bytes().to_vec());
        texts.push(code.replace('-', "").into_bytes());
    }
    for jwt in message.iter().filter_map(|one| one["message"].as_str()) {
        texts.push(jwt.as_bytes().to_vec());
    }
    let mut files = vec![std::fs::read(&rig.log).expect("the log")];
    for entry in std::fs::read_dir(&rig.state).expect("the state") {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            files.push(std::fs::read(path).expect("a file"));
        }
    }
    assert!(files.iter().any(|file| file.windows(5).any(|window| window == b"alice")), "the search can find");
    for text in texts {
        let found = files.iter().any(|file| file.windows(text.len()).any(|window| window == text));
        assert!(!found, "{}", String::from_utf8_lossy(&text));
    }
}
