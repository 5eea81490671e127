//! AT-24: pushes by each way, to servers that are strict, and past those that are not what they should be (C.11).

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "what fails here fails the test; it takes the time"
)]

mod judge;
mod server;
mod simulate;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use appliance::config;
use appliance::delivery::{Carried, Carriers, HttpError, Message, NotCarried, Signer, Why};
use device::{Delivered, Personality, Subscription};
use push::address::AddressError;
use push::message_id::{MessageId, Purpose};
use push::message_text::MessageText;
use serde_json::{Value, json};

use server::{Authority, Reply, Seen, Server};

const BASE: &str = r#"
state_dir = "/var/lib/countersign"
public_url = "https://otp.example.org"
[hsm]
module = "/usr/lib/softhsm/libsofthsm2.so"
token_label = "countersign"
pin_file = "/etc/countersign/hsm-pin"
[[listen]]
kind = "unix"
address = "/run/countersign/api.sock"
[push.delivery]
"#;
const JWT: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJjIjoieCJ9.c2lnbmF0dXJl";
const TOPIC: &str = "upAbCdEfGh1234";

struct Rig {
    authority: Authority,
    ca_file: PathBuf,
    _dir: tempfile::TempDir,
}

impl Rig {
    fn new() -> Rig {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::new();
        let ca_file = dir.path().join("ca.pem");
        std::fs::write(&ca_file, authority.pem()).unwrap();
        Rig { authority, ca_file, _dir: dir }
    }

    /// Carriers with a section, to which the authority is added, and a deadline of two seconds.
    fn carriers(&self, section: &str, signer: Option<Signer>) -> Carriers {
        let ca_file = self.ca_file.display();
        let text = format!("{BASE}ca_file = \"{ca_file}\"\ndeadline = \"2s\"\n{section}");
        let delivery = config::parse(&text).unwrap_or_else(|found| panic!("{found:?}")).delivery;
        Carriers::new(delivery, signer).unwrap()
    }

    fn server(&self, reply: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Server {
        Server::start(Some(self.authority.server("127.0.0.1", false)), reply)
    }
}

fn message() -> Message {
    Message {
        jwt: JWT.to_owned(),
        id: MessageId::new(Purpose::Authenticate, [9; 16], 1_767_225_700_000).unwrap(),
        ttl: Duration::from_secs(120),
        alert: MessageText::parse("Login to Example Inc").unwrap(),
    }
}

fn subscription() -> Subscription {
    Subscription::new(&[7; 32], [3; 16]).unwrap()
}

fn allow(servers: &[&Server]) -> String {
    let rules: Vec<String> = servers.iter().map(|server| format!("\"{}\"", server.address)).collect();
    format!("allow = [{}]\n", rules.join(", "))
}

/// What a distributor of UnifiedPush takes, and nothing else (RFC 8030, 5; RFC 8291, 4).
fn strict_push(seen: &Seen) -> Reply {
    let ttl = seen.header("ttl").parse::<u32>().is_ok();
    let urgency = ["very-low", "low", "normal", "high"].contains(&seen.header("urgency"));
    let base64url = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let topic = seen.header("topic");
    let topic = (1..=32).contains(&topic.len()) && topic.bytes().all(base64url);
    let encoded = seen.header("content-encoding") == "aes128gcm";
    let good =
        seen.method == "POST" && seen.target.starts_with("/push/") && ttl && urgency && topic && encoded;
    match (good, seen.body.len()) {
        (false, _) => Reply::status(400),
        (true, 1..=4096) => Reply::with(201, "location: /message/1\r\n"),
        (true, _) => Reply::status(413),
    }
}

/// AT-24, C.11: encrypted to the phone's keys. Red when the service can read it, or the phone cannot.
#[test]
fn a_push_reaches_the_phone_over_unifiedpush() {
    let rig = Rig::new();
    let server = rig.server(strict_push);
    let carriers = rig.carriers(&allow(&[&server]), None);
    let phone = subscription();
    let address = phone.address(&format!("https://{}/push/1?a=b", server.address));
    assert_eq!(carriers.carry(&address, &message()), Ok(Carried::Sent));
    let seen = server.next();
    assert_eq!(
        (seen.target.as_str(), seen.header("ttl"), seen.header("urgency")),
        ("/push/1?a=b", "120", "high")
    );
    assert_eq!(seen.header("host"), server.address.to_string());
    assert!(!seen.headers.contains_key("authorization"), "nobody asked for VAPID");
    assert!(!seen.body.windows(10).any(|window| window == &JWT.as_bytes()[..10]), "in clear");
    let envelope: Value = serde_json::from_slice(&phone.open(&seen.body).unwrap()).unwrap();
    for personality in Personality::ALL {
        let delivered = Delivered::read(personality, &envelope).unwrap();
        assert_eq!((delivered.jwt.as_str(), delivered.message_id), (JWT, message().id.to_string()));
    }
    // Tried again it replaces itself (RFC 8030, 5.4), under another key and salt.
    assert_eq!(carriers.carry(&address, &message()), Ok(Carried::Sent));
    let again = server.next();
    assert_eq!(again.header("topic"), seen.header("topic"));
    assert_ne!((&again.body[..16], &again.body[21..86]), (&seen.body[..16], &seen.body[21..86]));
    let other = MessageId::new(Purpose::Authenticate, [8; 16], 1_767_225_700_000).unwrap();
    assert_eq!(carriers.carry(&address, &Message { id: other, ..message() }), Ok(Carried::Sent));
    assert_ne!(server.next().header("topic"), seen.header("topic"));
}

/// AT-24, C.11 (RFC 8291, RFC 8292): decrypted by http_ece, verified by OpenSSL, neither of which is ours. Red when our
/// own two halves agree on something that is no Web Push.
#[test]
fn an_independent_judge_reads_and_verifies_it() {
    let rig = Rig::new();
    let server = rig.server(strict_push);
    let (signer, public) = judge::signer();
    let section = format!("{}contact = \"mailto:otp@example.org\"\n", allow(&[&server]));
    let carriers = rig.carriers(&section, Some(signer));
    let address = subscription().address(&format!("https://{}/push/1", server.address));
    assert_eq!(carriers.carry(&address, &message()), Ok(Carried::Sent));
    let seen = server.next();
    let judged = judge::ask(&[7; 32], &[3; 16], &public, &seen, &format!("https://{}", server.address));
    assert_eq!(judged["verified"], json!(true), "{judged}");
    assert_eq!(judged["claims"]["sub"], json!("mailto:otp@example.org"));
    let envelope: Value = serde_json::from_str(judged["clear"].as_str().unwrap()).unwrap();
    assert_eq!(envelope, json!({ "message": JWT, "data": JWT, "messageId": message().id.as_str() }));
    // What the judge must not take: another audience, and one byte that is another.
    assert_eq!(
        judge::ask(&[7; 32], &[3; 16], &public, &seen, "https://other.example.org")["verified"],
        json!(false)
    );
    let mut other = seen.clone();
    *other.body.last_mut().unwrap() ^= 1;
    let judged = judge::ask(&[7; 32], &[3; 16], &public, &other, &format!("https://{}", server.address));
    assert_eq!(judged["clear"], Value::Null);
}

/// What a self-hosted ntfy takes on the topics of UnifiedPush; 507 where nobody has subscribed.
fn strict_ntfy(subscribed: Arc<AtomicBool>) -> impl Fn(&Seen) -> Reply + Send + Sync {
    move |seen| {
        let known = seen.method == "POST" && seen.target == format!("/{TOPIC}?up=1");
        match (known, seen.body.len() <= 4096, subscribed.load(Ordering::SeqCst)) {
            (false, ..) => Reply::status(403),
            (true, false, _) => Reply::status(413),
            (true, true, false) => Reply::status(507),
            (true, true, true) => Reply::Bytes("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}".to_owned()),
        }
    }
}

/// AT-24, C.11: by its topic, and by the address that its app tells.
#[test]
fn a_push_reaches_the_phone_over_ntfy() {
    let rig = Rig::new();
    let subscribed = Arc::new(AtomicBool::new(false));
    let server = rig.server(strict_ntfy(Arc::clone(&subscribed)));
    let section = format!("{}ntfy = \"https://{}\"\n", allow(&[&server]), server.address);
    let carriers = rig.carriers(&section, None);
    let address = format!("https://{}/{TOPIC}?up=1", server.address);
    let nobody = NotCarried::Later { why: Why::Status(507), after: None };
    assert_eq!(carriers.carry(&address, &message()), Err(nobody));
    subscribed.store(true, Ordering::SeqCst);
    for address in [address, format!("ntfy:{TOPIC}")] {
        assert_eq!(carriers.carry(&address, &message()), Ok(Carried::Sent), "{address}");
    }
    for _ in 0..3 {
        let seen = server.next();
        let envelope: Value = serde_json::from_slice(&seen.body).unwrap();
        assert_eq!(envelope["message"], json!(JWT));
        assert_eq!((seen.header("priority"), seen.header("ttl")), ("high", "120"));
    }
    // The largest envelope that we make is a message for ntfy; one byte more is not sent.
    let frame = 2 * JWT.len();
    let fits =
        serde_json::to_string(&json!({ "message": JWT, "data": JWT, "messageId": message().id.as_str() }));
    let room = push::envelope::CLEAR_MAX - (fits.unwrap().len() - frame);
    let sized =
        |len: usize| carriers.carry(&format!("ntfy:{TOPIC}"), &Message { jwt: "x".repeat(len), ..message() });
    assert_eq!(sized(room / 2), Ok(Carried::Sent));
    assert_eq!(sized(room / 2 + 1).unwrap_err().reason(), "too_large");
    assert_eq!(server.connections(), 4);
}

/// C.11: only the server of the operator's own reads messages.
#[test]
fn a_foreign_service_gets_nothing_that_it_can_read() {
    let rig = Rig::new();
    let (own, foreign) = (rig.server(|_| Reply::status(200)), rig.server(|_| Reply::status(200)));
    let section = format!("{}ntfy = \"https://{}\"\n", allow(&[&own, &foreign]), own.address);
    let carriers = rig.carriers(&section, None);
    for path in [format!("{TOPIC}?up=1"), "push/1".to_owned()] {
        let outcome = carriers.carry(&format!("https://{}/{path}", foreign.address), &message());
        assert_eq!(outcome, Err(NotCarried::Never(Why::NoKeys)), "{path}");
    }
    let address = subscription().address(&format!("https://{}/{TOPIC}?up=1", foreign.address));
    assert_eq!(carriers.carry(&address, &message()), Ok(Carried::Sent));
    assert_eq!(foreign.connections(), 1);
}

/// AT-24, C.11, D-39: fetched where that is on; Google's and Apple's services only over a relay that was set.
#[test]
fn what_is_off_says_so() {
    let rig = Rig::new();
    let off = |key| Err(NotCarried::Never(Why::Off(key)));
    let (fcm, apns) = ("fGq3:APA91b_x-y", "ab".repeat(32));
    let nothing = rig.carriers("", None);
    assert_eq!(nothing.carry("poll:abc", &message()), Ok(Carried::Kept));
    assert_eq!(nothing.carry(fcm, &message()), off("push.delivery.fcm_relay"));
    assert_eq!(nothing.carry(&apns, &message()), off("push.delivery.apns_relay"));
    assert_eq!(nothing.carry(&format!("ntfy:{TOPIC}"), &message()), off("push.delivery.ntfy"));
    assert!(
        nothing
            .carry(fcm, &message())
            .unwrap_err()
            .to_string()
            .contains("push.delivery.fcm_relay is not set")
    );
    let relay = rig.server(|seen| Reply::status(if seen.target.ends_with("gone") { 404 } else { 200 }));
    let section = format!(
        "{}fcm_relay = \"https://{1}/v1/send\"\napns_relay = \"https://{1}\"\n",
        allow(&[&relay]),
        relay.address
    );
    let carriers = rig.carriers(&section, None);
    assert_eq!(carriers.carry(fcm, &message()), Ok(Carried::Sent));
    let seen = relay.next();
    let body: Value = serde_json::from_slice(&seen.body).unwrap();
    assert_eq!((seen.target.as_str(), &body["message"]["token"]), ("/v1/send", &json!(fcm)));
    assert_eq!(body["message"]["data"]["message"], json!(JWT));
    assert_eq!(carriers.carry(&apns, &message()), Ok(Carried::Sent));
    let seen = relay.next();
    let body: Value = serde_json::from_slice(&seen.body).unwrap();
    assert_eq!((seen.target, &body["aps"]["data"]), (format!("/3/device/{apns}"), &json!(JWT)));
    assert_eq!(body["aps"]["alert"], json!("Login to Example Inc"));
    assert_eq!(carriers.carry("a%2fb", &message()).unwrap_err().reason(), "address");
}

/// AT-24, C.11. Red when a phone makes the appliance call a host that no rule names, however it is spelt.
#[test]
fn nothing_else_is_connected_to() {
    let rig = Rig::new();
    let (allowed, other) = (rig.server(|_| Reply::status(201)), rig.server(|_| Reply::status(201)));
    let plain = Server::start(None, |_| Reply::status(201));
    let rules = format!("allow = [\"{}\", \"push.example.org:{}\"]\n", allowed.address, other.address.port());
    let carriers = rig.carriers(&rules, None);
    let (port, own) = (other.address.port(), allowed.address.port());
    for place in [
        format!("https://127.0.0.1:{port}/"),
        format!("https://localhost:{own}/"),
        format!("https://127.1:{own}/"),
        format!("https://2130706433:{own}/"),
        format!("https://0x7f.0.0.1:{own}/"),
        format!("https://0177.0.0.1:{own}/"),
        format!("https://127.0.0.1.:{own}/"),
        format!("https://[::ffff:127.0.0.1]:{own}/"),
        format!("https://[::1]:{port}/"),
        format!("https://127.0.0.1:{own}@127.0.0.1:{port}/"),
        format!("https://127.0.0.1:{own}\\@127.0.0.1:{port}/"),
        format!("https://127.0.0.1:0{own}/"),
        format!("https://127.0.0.1%00:{own}/"),
        format!("https://\u{ff11}27.0.0.1:{own}/"),
        format!("https://169.254.169.254:{own}/"),
        format!("http://127.0.0.1:{own}/"),
        format!("http://{}/", plain.address),
        format!("//127.0.0.1:{own}/"),
        format!("file:///etc/passwd#{own}"),
        format!("gopher://127.0.0.1:{own}/"),
    ] {
        for address in [subscription().address(&place), place.clone()] {
            match carriers.carry(&address, &message()) {
                Err(NotCarried::Never(Why::Address(_))) => {}
                outcome => panic!("{address}: {outcome:?}"),
            }
        }
    }
    assert_eq!((allowed.connections(), other.connections(), plain.connections()), (0, 0, 0));
    let not_allowed = NotCarried::Never(Why::Address(AddressError::NotAllowed));
    assert_eq!((not_allowed.reason(), not_allowed.to_string().contains("127.")), ("not_allowed", false));
}

/// C.11. Red when a redirect is followed, on the list or off it.
#[test]
fn a_redirect_is_a_refusal() {
    let rig = Rig::new();
    let target = rig.server(|_| Reply::status(201));
    let to = target.address;
    for status in [301, 302, 303, 307, 308] {
        let server = rig.server(move |_| Reply::with(status, &format!("location: https://{to}/push/1\r\n")));
        let carriers = rig.carriers(&allow(&[&server, &target]), None);
        let address = subscription().address(&format!("https://{}/push/1", server.address));
        assert_eq!(carriers.carry(&address, &message()), Err(NotCarried::Never(Why::Status(status))));
    }
    assert_eq!(target.connections(), 0);
}

/// C.11: statuses as they come over the wire, with the wait that was asked for.
#[test]
fn a_phone_that_is_gone_is_told_from_one_that_is_away() {
    let rig = Rig::new();
    for (status, lines, outcome) in [
        (410, "", NotCarried::Gone),
        (404, "", NotCarried::Gone),
        (
            429,
            "retry-after: 7\r\n",
            NotCarried::Later { why: Why::Status(429), after: Some(Duration::from_secs(7)) },
        ),
        (
            503,
            "retry-after: Wed, 21 Oct 2026 07:28:00 GMT\r\n",
            NotCarried::Later { why: Why::Status(503), after: None },
        ),
        (403, "", NotCarried::Never(Why::Status(403))),
    ] {
        let server = rig.server(move |_| Reply::with(status, lines));
        let carriers = rig.carriers(&allow(&[&server]), None);
        let address = subscription().address(&format!("https://{}/push/1", server.address));
        assert_eq!(carriers.carry(&address, &message()), Err(outcome), "{status}");
    }
}

/// Carries to a server with an address at `host`, and measures.
fn carried(rig: &Rig, port: u16) -> (Result<Carried, NotCarried>, Duration) {
    let carriers = rig.carriers(&format!("allow = [\"127.0.0.1:{port}\"]\n"), None);
    let address = subscription().address(&format!("https://127.0.0.1:{port}/push/1"));
    let began = Instant::now();
    (carriers.carry(&address, &message()), began.elapsed())
}

fn later(error: HttpError) -> Result<Carried, NotCarried> {
    Err(NotCarried::Later { why: Why::Http(error), after: None })
}

/// C.11. Red when a server holds the delivery up beyond its deadline: before TLS, before its answer, or with each byte.
#[test]
fn every_wait_ends_at_the_deadline() {
    let rig = Rig::new();
    let (listener, half_open) = Server::half_open();
    let head = "HTTP/1.1 201 Created\r\n";
    let silent = rig.server(|_| Reply::Silence);
    let slow = rig.server(move |_| Reply::Dribble(format!("{head}{}\r\n", "x-x: y\r\n".repeat(40))));
    for port in [half_open.port(), silent.address.port(), slow.address.port()] {
        let (outcome, took) = carried(&rig, port);
        assert_eq!(outcome, later(HttpError::Deadline));
        assert!((Duration::from_secs(2)..Duration::from_secs(8)).contains(&took), "{took:?}");
    }
    drop(listener);
}

/// C.11. Red when an answer's size is the server's choice, or its body is waited for.
#[test]
fn an_answer_has_bounds() {
    let rig = Rig::new();
    let endless = rig.server(|_| Reply::Endless("HTTP/1.1 201 Created\r\n\r\n".to_owned(), &[b'x'; 4096]));
    assert_eq!(carried(&rig, endless.address.port()).0, Ok(Carried::Sent));
    let head =
        rig.server(|_| Reply::Endless("HTTP/1.1 201 Created\r\n".to_owned(), b"x-x: yyyyyyyyyyyyyyyyy\r\n"));
    assert_eq!(carried(&rig, head.address.port()).0, later(HttpError::Broken));
    for nonsense in ["", "HTTP/1.1 abc\r\n\r\n", "\r\n\r\n", "SSH-2.0-x\r\n", "HTTP/1.1 201 C\r\nx"] {
        let server = rig.server(move |_| Reply::Bytes(nonsense.to_owned()));
        assert_eq!(carried(&rig, server.address.port()).0, later(HttpError::Broken), "{nonsense:?}");
    }
}

/// C.11. Red when a server is taken for another.
#[test]
fn a_wrong_certificate_ends_it() {
    let rig = Rig::new();
    let ours = &rig.authority;
    let foreign = Authority::new();
    for (case, config) in [
        ("another name", ours.server("127.0.0.2", false)),
        ("a name for a number", ours.server("push.example.org", false)),
        ("another authority", foreign.server("127.0.0.1", false)),
        ("an old one", ours.server("127.0.0.1", true)),
    ] {
        let server = Server::start(Some(config), |_| Reply::status(201));
        let (outcome, _) = carried(&rig, server.address.port());
        match &outcome {
            Err(NotCarried::Later { why: Why::Http(HttpError::Certificate(_)), .. }) => {}
            other => panic!("{case}: {other:?}"),
        }
        assert_eq!(outcome.unwrap_err().reason(), "certificate");
    }
    let plain = Server::start(None, |_| Reply::status(201));
    let (outcome, _) = carried(&rig, plain.address.port());
    assert!(matches!(outcome, Err(NotCarried::Later { why: Why::Http(_), .. })), "{outcome:?}");
}

/// A server that is down, and a name that nobody has: tried again.
#[test]
fn a_server_that_is_down_is_tried_again() {
    let rig = Rig::new();
    let (listener, address) = Server::half_open();
    drop(listener);
    let (outcome, _) = carried(&rig, address.port());
    assert_eq!(outcome, later(HttpError::Connect(std::io::ErrorKind::ConnectionRefused)));
    assert_eq!(outcome.unwrap_err().reason(), "unreachable");
    let carriers = rig.carriers("allow = [\"nobody.invalid\"]\n", None);
    let outcome = carriers.carry(&subscription().address("https://nobody.invalid/push/1"), &message());
    assert!(matches!(outcome, Err(NotCarried::Later { why: Why::Http(_), .. })), "{outcome:?}");
}

/// C.11: `http://` to this machine, where that was asked for, and there alone.
#[test]
fn plain_http_is_for_this_machine() {
    let rig = Rig::new();
    let server = Server::start(None, strict_push);
    let address = subscription().address(&format!("http://{}/push/1", server.address));
    let not_allowed = Err(NotCarried::Never(Why::Address(AddressError::NotAllowed)));
    assert_eq!(rig.carriers(&allow(&[&server]), None).carry(&address, &message()), not_allowed);
    let section = format!("plain_loopback = true\n{}", allow(&[&server]));
    assert_eq!(rig.carriers(&section, None).carry(&address, &message()), Ok(Carried::Sent));
    assert_eq!(server.connections(), 1);
}

/// COMB-07, C.11: what needs the internet is said, and a file that is missing is found at its line.
#[test]
fn config_check_says_what_a_way_needs() {
    let rig = Rig::new();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("countersign.toml");
    let check = |ca_file: &str| {
        let relay = "allow = [\"relay.example.org\"]\nfcm_relay = \"https://relay.example.org/v1/send\"\n";
        std::fs::write(&file, format!("{BASE}ca_file = \"{ca_file}\"\n{relay}")).unwrap();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_countersign"));
        command.args(["config", "check"]).arg(&file).output().unwrap()
    };
    let good = check(rig.ca_file.to_str().unwrap());
    assert_eq!(good.status.code(), Some(0), "{good:?}");
    let said = String::from_utf8(good.stderr).unwrap();
    assert!(said.contains("push.delivery.fcm_relay: needs the internet"), "{said}");
    let missing = check("/nonexistent/ca.pem");
    assert_eq!(missing.status.code(), Some(2), "{missing:?}");
    let place = format!("{}:{}: push.delivery.ca_file: ", file.display(), BASE.lines().count() + 1);
    assert!(String::from_utf8(missing.stdout).unwrap().starts_with(&place));
}
