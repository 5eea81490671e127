//! Edges that a careful reader asks about: a secret that comes back, a number that changes, a client who never
//! reads. A1, A7, A10, A12, A13, A18, A21, A29, A34, A37, T16, T26.

use std::fs;
use std::io::{ErrorKind, Write};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use tests::http::{Endpoint, Stream};
use tests::modem::EmulatedModem;
use tests::time::{step_with_room, unix_ms};
use tests::{Algorithm, Answer, Appliance, Client, ModemOptions, PATIENCE, RigOptions, Secret, wait_until};

const NO_DELAY: &str = "[limits]\ndelay_from = 20\npair_failures = 50\n";
/// Enough for the requests of one test within one time step.
const ROOM: Duration = Duration::from_secs(10);
/// The secret of RFC 4226, appendix D.
const SEED: &str = "12345678901234567890";
/// Threads that enrol one secret at once.
const ENROLLERS: usize = 16;

fn patient() -> Appliance {
    Appliance::start(RigOptions::default().config(NO_DELAY))
}

fn order(app: &mut Client, user: &str) -> String {
    let made = app.post("/v1/challenges", &json!({"user": user, "channel": "sms"})).expect(201).json();
    made["id"].as_str().expect("a handle").to_owned()
}

fn state(app: &mut Client, id: &str) -> Value {
    app.get(&format!("/v1/challenges/{id}")).expect(200).json()["state"].clone()
}

fn answer(app: &mut Client, id: &str, otp: &str) -> Answer {
    app.post(&format!("/v1/challenges/{id}/verify"), &json!({"otp": otp}))
}

/// A1, A18: a used code stays used when its secret comes back in a new token. Red when a new token begins before
/// the first code whatever a revoked one with the same secret had consumed.
#[test]
fn a_secret_that_comes_back_keeps_its_used_codes() {
    let rig = patient();
    let key = rig.app_key("vpn", &["verify"]);
    let mut app = rig.loopback(Some(&key));
    for name in ["alice", "bob", "carol"] {
        rig.user(name);
    }
    let hotp = Secret::new(SEED);
    let fields = json!({"type": "hotp", "secret": hotp.base32()});
    let first = rig.token("alice", &fields);
    assert!(app.verify("alice", &hotp.hotp(0)).accepted());
    rig.change_token(&first.serial, "revoke");
    rig.token("alice", &fields);
    assert!(app.verify("alice", &hotp.hotp(0)).rejected(), "counter 0 once more");
    assert!(app.verify("alice", &hotp.hotp(1)).accepted(), "it goes on");

    let totp = Secret::new("09876543210987654321");
    let fields = json!({"type": "totp", "secret": totp.base32()});
    let step = step_with_room(ROOM);
    let first = rig.token("bob", &fields);
    assert!(app.verify("bob", &totp.hotp(step)).accepted());
    rig.change_token(&first.serial, "revoke");
    let again = rig.token("carol", &fields);
    for factor in [step, step - 1] {
        assert!(app.verify("carol", &totp.hotp(factor)).rejected(), "somebody else's too");
    }
    assert!(app.verify("carol", &totp.hotp(step + 1)).accepted(), "it goes on");
    rig.change_token(&again.serial, "revoke");
    let other_type = json!({"type": "hotp", "counter": step, "secret": totp.base32()});
    let refused = rig.admin().post("/v1/users/carol/tokens", &other_type);
    assert_eq!((refused.status, refused.code().as_str()), (409, "conflict"), "{}", refused.text());
}

/// A37, A1: one secret, one living token; zeros at its end are the same HMAC key (RFC 2104). Red when the duplicate
/// is looked for before the insertion only, or the zeros make another mark.
#[test]
fn one_secret_is_enrolled_once() {
    let rig = patient();
    for n in 0..ENROLLERS {
        rig.user(&format!("user{n}"));
    }
    for round in 0..4u8 {
        let plain = Secret::new([SEED.as_bytes(), &[b'a' + round]].concat());
        let padded = Secret::new([plain.bytes.as_slice(), &[0]].concat());
        assert_eq!(plain.hotp(7), padded.hotp(7), "the same codes");
        let barrier = Barrier::new(ENROLLERS);
        let answers: Vec<Answer> = thread::scope(|scope| {
            let enrollers: Vec<_> = (0..ENROLLERS)
                .map(|n| {
                    let secret = if n % 2 == 0 { plain.base32() } else { padded.base32() };
                    // Two by two for the same user.
                    let path = format!("/v1/users/user{}/tokens", n / 2);
                    let (rig, barrier) = (&rig, &barrier);
                    scope.spawn(move || {
                        let mut admin = rig.admin();
                        admin.get("/healthz").expect(200);
                        barrier.wait();
                        admin.post(&path, &json!({"type": "hotp", "secret": secret}))
                    })
                })
                .collect();
            enrollers.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        let enrolled = answers.iter().filter(|answer| answer.status == 201).count();
        assert_eq!(enrolled, 1, "round {round}");
        let refused = |answer: &&Answer| answer.status == 409 && answer.code() == "conflict";
        assert_eq!(answers.iter().filter(refused).count(), ENROLLERS - 1, "round {round}: {answers:?}");
    }
}

/// A37, A1: a secret longer than a block and its hash are one HMAC key (RFC 2104), hence one secret. Red when the
/// mark is made of the bytes as they were given: the used codes come back with the other spelling.
#[test]
fn a_long_secret_and_its_hash_are_one() {
    let rig = patient();
    rig.user("alice");
    rig.user("bob");
    let mut admin = rig.admin();
    for (algorithm, tail) in [(Algorithm::Sha1, b'1'), (Algorithm::Sha256, b'2')] {
        let mut long = Secret::new([[b'x'; 64].as_slice(), &[tail]].concat());
        long.algorithm = algorithm;
        let mut short = long.clone();
        short.bytes = match algorithm {
            Algorithm::Sha1 => Sha1::digest(&long.bytes).to_vec(),
            _ => Sha256::digest(&long.bytes).to_vec(),
        };
        assert_eq!(long.hotp(7), short.hotp(7), "the same codes");
        let fields = |secret: &Secret| json!({"type": "hotp", "algorithm": algorithm.name(), "secret": secret.base32()});
        let first = rig.token("alice", &fields(&long));
        let refused = admin.post("/v1/users/bob/tokens", &fields(&short));
        assert_eq!((refused.status, refused.code().as_str()), (409, "conflict"), "{}", algorithm.name());
        assert!(admin.verify_token(&first.serial, &long.hotp(0)).accepted());
        rig.change_token(&first.serial, "revoke");
        let again = rig.token("bob", &fields(&short));
        assert!(admin.verify_token(&again.serial, &short.hotp(0)).rejected(), "used with the long one");
        assert!(admin.verify_token(&again.serial, &short.hotp(1)).accepted(), "it goes on");
    }
}

/// A18, T26: a stored accept does not outlive its token. Red when a retry is answered from the store alone.
#[test]
fn a_retry_after_the_revocation_is_rejected() {
    let rig = patient();
    let key = rig.app_key("vpn", &["verify"]);
    let mut app = rig.loopback(Some(&key));
    for (name, change) in [("alice", "revoke"), ("bob", "suspend")] {
        let token = rig.hotp_user(name);
        let asked = json!({"user": name, "otp": token.secret.hotp(0), "request_id": name});
        assert!(app.post("/v1/verify", &asked).accepted());
        assert!(app.post("/v1/verify", &asked).accepted(), "the same request");
        rig.change_token(&token.serial, change);
        assert!(app.post("/v1/verify", &asked).rejected(), "{change}");
    }
}

/// A12, A13: with a new number the code for the former one is dead, sent or not. Red when setting a number leaves
/// open challenges alone, or a waiting message keeps the number it was queued with.
#[test]
fn a_new_number_ends_the_codes_for_the_former_one() {
    const FORMER: &str = "+41791234561";
    const LATTER: &str = "+41791234562";
    let scratch = tests::scratch::directory();
    let port = scratch.path().join("m1.tty");
    let options = RigOptions { modems: vec![ModemOptions::at("m1", &port)], ..RigOptions::default() };
    let rig = Appliance::start(options.config(NO_DELAY));
    let key = rig.app_key("vpn", &["challenge"]);
    let mut app = rig.loopback(Some(&key));
    rig.user("alice");
    rig.phone("alice", FORMER);
    let delivering = order(&mut app, "alice");
    assert_eq!(state(&mut app, &delivering), "delivering");
    rig.phone("alice", LATTER);
    assert_eq!(state(&mut app, &delivering), "superseded");
    let second = order(&mut app, "alice");
    let modem = EmulatedModem::start(&rig.binary, scratch.path(), "m1", "generic", "");
    let otp = modem.await_message(LATTER, 1).code();
    wait_until(PATIENCE, "the code was sent", || (state(&mut app, &second) == "waiting").then_some(()));
    assert_eq!(modem.messages_to(FORMER).len(), 0, "queued before the change");

    rig.phone("alice", FORMER);
    assert!(answer(&mut app, &second, &otp).rejected(), "the former number's code");
    assert_eq!(state(&mut app, &second), "superseded");
    let resent = app.post(&format!("/v1/challenges/{second}/resend"), &json!({}));
    assert_eq!((resent.status, resent.code().as_str()), (409, "conflict"), "{}", resent.text());
    let third = order(&mut app, "alice");
    let otp = modem.await_message(FORMER, 1).code();
    wait_until(PATIENCE, "the code was sent", || (state(&mut app, &third) == "waiting").then_some(()));
    assert!(answer(&mut app, &third, &otp).accepted());
    assert_eq!(modem.messages_to(LATTER).len(), 1, "afterwards nothing goes there");
}

/// A29: whatever is wrong with a body, what it says is not said again: it may be a code or a secret. Red when the
/// parser's own message is passed on.
#[test]
fn an_error_repeats_no_value() {
    const OTP: &str = "755224";
    const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
    let rig = patient();
    let token = rig.hotp_user("alice");
    let mut admin = rig.admin();
    let resync = format!("/v1/tokens/{}/resync", token.serial);
    let bodies = [
        ("/v1/verify", format!(r#"{{"otp":{OTP}}}"#)),
        ("/v1/verify", format!(r#"{{"user":"alice","otp":{OTP}}}"#)),
        ("/v1/verify", format!(r#"{{"user":"alice","otp":{OTP}.5}}"#)),
        ("/v1/verify", format!(r#"{{"user":"alice","otp":["{OTP}"]}}"#)),
        ("/v1/verify", format!(r#"{{"user":"alice","otp":{{"x":"{OTP}"}}}}"#)),
        ("/v1/verify", format!(r#"{{"user":{OTP},"otp":"{OTP}"}}"#)),
        ("/v1/verify", format!(r#"{{"user":"alice","otp":"{OTP}","pin":"{OTP}"}}"#)),
        ("/v1/verify", format!(r#"{{"user":"alice","otp":"{OTP}","otp":"{OTP}"}}"#)),
        ("/v1/verify", format!(r#"{{"user":"alice","otp":"{OTP}"}} {OTP}"#)),
        ("/v1/verify", format!(r#"{{"user":"alice","otp":"{OTP}"#)),
        ("/v1/verify", format!(r#""{OTP}""#)),
        ("/v1/verify", OTP.to_owned()),
        ("/v1/verify", format!(r#"{{"user":"alice","otp":"1","request_id":"ü{OTP}"}}"#)),
        ("/v1/verify", format!(r#"{{"user":"alice","otp":"1","request_id":{OTP}}}"#)),
        ("/v1/challenges", format!(r#"{{"user":"alice","channel":"{OTP}"}}"#)),
        ("/v1/challenges/00000000000000000000000000000000/verify", format!(r#"{{"otp":{OTP}}}"#)),
        (&resync, format!(r#"{{"otp1":{OTP},"otp2":"1"}}"#)),
        (&resync, format!(r#"{{"otp1":"{OTP}","otp2":"{OTP}"}}"#)),
        ("/v1/users/alice/tokens", format!(r#"{{"type":"totp","digits":"{OTP}"}}"#)),
        ("/v1/users/alice/tokens", format!(r#"{{"type":"totp","digits":{OTP}}}"#)),
        ("/v1/users/alice/tokens", format!(r#"{{"type":"totp","secret":["{SECRET}"]}}"#)),
        ("/v1/users/alice/tokens", format!(r#"{{"type":"totp","secret":"{SECRET}!"}}"#)),
        ("/v1/users/alice/tokens", format!(r#"{{"type":"{SECRET}"}}"#)),
        ("/v1/users/alice/tokens", format!(r#"{{"uri":"otpauth://totp/x?secret={SECRET}!"}}"#)),
        ("/v1/users/alice/tokens", format!(r#"{{"uri":"otpauth://totp/x?secret={SECRET}&period=0"}}"#)),
        ("/v1/users/alice/tokens", format!(r#"{{"uri":"{SECRET}"}}"#)),
        ("/v1/messages", format!(r#"{{"to":"+4179{OTP}x","text":"{OTP}"}}"#)),
        ("/v1/messages", format!(r#"{{"to":"+41791234567","text":{OTP}}}"#)),
    ];
    for (path, body) in &bodies {
        let refused = admin.send("POST", path, Some(body.as_bytes())).unwrap();
        assert!((400..500).contains(&refused.status), "{path} {body}: {}", refused.text());
        assert_eq!(refused.header("content-type"), Some("application/problem+json"), "{path} {body}");
        let said = format!("{}{}", refused.head, refused.text());
        assert!(!said.contains(OTP) && !said.contains(SECRET), "{path} {body}: {said}");
    }
    for path in ["/v1/users/%ff", "/v1/tokens/%ff", "/v1/challenges/%ff", "/v1/messages/%ff/x"] {
        let refused = admin.get(path);
        assert!((400..500).contains(&refused.status), "{path}: {}", refused.text());
        assert_eq!(refused.header("content-type"), Some("application/problem+json"), "{path}");
    }
    assert!(!rig.log_text().contains(OTP) && !rig.log_text().contains(SECRET), "in the log");
    println!("edges: {} bodies", bodies.len());
}

/// AT-13, A7, OATH-06: a clock that a resynchronisation found far away stays found. Red when the drift is cut to what one
/// login may teach at the first code after it.
#[test]
fn a_resynchronised_token_goes_on() {
    const PERIOD_MS: u64 = 10_000;
    const AHEAD: u64 = 80;
    let rig = patient();
    rig.user("alice");
    let token = rig.token("alice", &json!({"type": "totp", "period": PERIOD_MS / 1000}));
    let key = rig.app_key("vpn", &["verify"]);
    let mut app = rig.loopback(Some(&key));
    let step = wait_until(PATIENCE, "a time step begins", || {
        let now = unix_ms();
        (now % PERIOD_MS < PERIOD_MS / 2).then_some(now / PERIOD_MS)
    });
    let code = |n: u64| token.secret.hotp(step + AHEAD + n);
    assert!(app.verify("alice", &code(0)).rejected(), "too far away");
    let path = format!("/v1/tokens/{}/resync", token.serial);
    let one = rig.admin().post(&path, &json!({"otp1": code(0), "otp2": code(0)}));
    assert_eq!(one.status, 409, "one code is not two: {}", one.text());
    rig.admin().post(&path, &json!({"otp1": code(0), "otp2": code(1)})).expect(200);
    for used in 0..=1 {
        assert!(app.verify("alice", &code(used)).rejected(), "used by the resynchronisation");
    }
    for next in 2..=3 {
        wait_until(PATIENCE, "the token's next step", || {
            (unix_ms() / PERIOD_MS >= step + next - 1).then_some(())
        });
        assert!(app.verify("alice", &code(next)).accepted(), "code {next} after the resynchronisation");
        let drift = rig.show_token(&token.serial)["drift"].as_u64().expect("ahead");
        assert!((AHEAD - 1..=AHEAD + 1).contains(&drift), "{drift}");
    }
}

/// A10, decision 18: wrong codes by the user's name count at no token when there are several, also when all but one
/// are locked. Red when only the open ones are counted: the sibling locks, too.
#[test]
fn a_locked_token_does_not_lock_its_sibling() {
    let rig = patient();
    let locked = rig.hotp_user("alice");
    let sibling = rig.token("alice", &json!({"type": "hotp"}));
    let key = rig.app_key("vpn", &["verify"]);
    let mut app = rig.loopback(Some(&key));
    let wrong = |secret: &Secret| secret.wrong(0..40);
    for _ in 0..5 {
        assert!(app.verify_token(&locked.serial, &wrong(&locked.secret)).rejected());
    }
    assert_eq!(rig.show_token(&locked.serial)["locked"], true);
    for _ in 0..8 {
        assert!(app.verify("alice", &wrong(&sibling.secret)).rejected());
    }
    let row = rig.show_token(&sibling.serial);
    assert_eq!((&row["failures"], &row["locked"]), (&json!(0), &json!(false)));
    assert_eq!(rig.show_user("alice")["failures"], 13, "the user's own count goes on");
    assert!(app.verify("alice", &sibling.secret.hotp(0)).accepted());
}

/// What is not ours is not deleted. Red when whatever lies at the socket's path is taken for a stale socket.
#[test]
fn a_file_at_the_sockets_path_is_left_alone() {
    let mut rig = Appliance::prepare(RigOptions::default());
    fs::write(&rig.socket, "dear diary").unwrap();
    rig.serve();
    let end = rig.await_end();
    assert!(!end.success(), "{end}");
    let said = rig.log_text();
    assert!(said.contains("it is no socket"), "{said}");
    assert!(said.contains(&rig.socket.display().to_string()), "the path is not named: {said}");
    assert_eq!(fs::read_to_string(&rig.socket).unwrap(), "dear diary");
    fs::remove_file(&rig.socket).unwrap();
    rig.restart();
    rig.kill9();
    assert!(rig.socket.exists(), "a crash leaves the socket");
    rig.restart();
}

/// A client who asks and does not listen.
struct Deaf {
    stream: Stream,
    gone: bool,
}

impl Deaf {
    fn connect(endpoint: &Endpoint) -> Deaf {
        let stream = endpoint.connect().expect("a place");
        match &stream {
            Stream::Tcp(stream) => stream.set_nonblocking(true),
            Stream::Unix(stream) => stream.set_nonblocking(true),
        }
        .expect("a live connection");
        Deaf { stream, gone: false }
    }

    /// Sends as much as goes; true once the other side has hung up.
    fn pester(&mut self) -> bool {
        const REQUESTS: &[u8] = b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n";
        while !self.gone {
            match self.stream.write(REQUESTS) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => self.gone = true,
            }
        }
        let mut polled = [PollFd::new(&self.stream, PollFlags::empty())];
        poll(&mut polled, Some(&Timespec::default())).expect("one descriptor");
        self.gone |= polled[0].revents().intersects(PollFlags::HUP | PollFlags::ERR);
        self.gone
    }
}

/// A34, T16: who sends requests and never reads answers loses the connection, and nobody else waits meanwhile. Red
/// when a write has no deadline: each such client keeps a place for ever.
#[test]
fn a_client_who_never_reads_is_cut_off() {
    const CUT: Duration = Duration::from_secs(15);
    const MARGIN: Duration = Duration::from_secs(10);
    let rig = Appliance::start(RigOptions::default());
    let (unix, tcp) = (Endpoint::Unix(rig.socket.clone()), Endpoint::Tcp(rig.address));
    let begun = Instant::now();
    let mut clients: Vec<Deaf> =
        (0..64).map(|n| Deaf::connect(if n % 8 == 0 { &tcp } else { &unix })).collect();
    let mut slowest = Duration::ZERO;
    let (mut honest, mut asked) = (rig.admin(), 0);
    wait_until(CUT + MARGIN, "all are cut off", || {
        let left = clients.iter_mut().filter_map(|client| (!client.pester()).then_some(())).count();
        let sent = Instant::now();
        honest.get("/healthz").expect(200);
        slowest = slowest.max(sent.elapsed());
        asked += 1;
        (left == 0).then_some(())
    });
    println!("edges: 64 deaf clients gone after {:?}; {asked} others, slowest {slowest:?}", begun.elapsed());
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
}

/// A21: many codes at once for a name that nobody has take about as long as for one that somebody has. The bound is
/// loose, for a loaded machine: red when one of the two skips the HSM's work or the event. The printed ratio tells
/// more: about 1.1, and 1.6 where requests about nobody do not wait in line.
#[test]
fn many_at_once_tell_nothing_about_a_name() {
    const ROUNDS: usize = 6;
    let rig = patient();
    rig.hotp_user("alice");
    let key = rig.app_key("vpn", &["verify"]);
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        // Neither is always first.
        for known_now in [round % 2 == 0, round % 2 != 0] {
            let (name, times) = if known_now { ("alice", &mut known) } else { ("nobody", &mut unknown) };
            times.extend(at_once(&rig, &key, name));
        }
    }
    let median = |times: &mut Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2]
    };
    let (known, unknown) = (median(&mut known), median(&mut unknown));
    println!("edges: 64 malformed codes at once, median {known:?} for a known name, {unknown:?} for none");
    assert!(known < unknown * 3 && unknown < known * 3, "{known:?} {unknown:?}");
}

/// How long each of 64 malformed codes took that were sent at the same moment.
fn at_once(rig: &Appliance, key: &str, name: &str) -> Vec<Duration> {
    const CLIENTS: usize = 64;
    let barrier = Barrier::new(CLIENTS);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let (mut app, barrier) = (rig.loopback(Some(key)), &barrier);
                scope.spawn(move || {
                    app.get("/healthz").expect(200);
                    barrier.wait();
                    let sent = Instant::now();
                    let refused = app.verify(name, "12 456");
                    assert!(refused.rejected(), "{}", refused.text());
                    sent.elapsed()
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().expect("no panic")).collect()
    })
}

/// A stop in order leaves no door and no log behind: the database is one file that can be copied. Red when the
/// writer's connection is not closed, or the socket's file stays.
#[test]
fn a_stop_in_order_leaves_one_file() {
    let mut rig = patient();
    let token = rig.hotp_user("alice");
    let key = rig.app_key("vpn", &["verify"]);
    let mut app = rig.loopback(Some(&key));
    for counter in 0..20 {
        assert!(app.verify("alice", &token.secret.hotp(counter)).accepted());
    }
    let log = rig.state.join("countersign.db-wal");
    assert!(fs::metadata(&log).is_ok_and(|file| file.len() > 0), "a log while it runs");
    assert!(rig.stop().success());
    assert!(!rig.socket.exists(), "the socket's file");
    assert!(fs::metadata(&log).map_or(0, |file| file.len()) == 0, "the log");
    let walked = rig.cli_json(&["audit", "verify"]);
    assert_eq!(walked["intact"], true, "{walked}");
    rig.restart();
    assert!(rig.admin().verify("alice", &token.secret.hotp(19)).rejected(), "still used up");
    assert!(rig.admin().verify("alice", &token.secret.hotp(20)).accepted());
}
