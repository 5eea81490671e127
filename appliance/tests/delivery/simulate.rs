//! `countersign device simulate` before a strict appliance, which is written here from C.1 to C.5 and C.11 alone, with the
//! golden keys (facts, 24; COMB-36).

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use appliance::delivery::Carried;
use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::{Message, Rig, message};
use crate::server::{PATIENCE, Reply, Seen, Server};

const PERSONALITIES: [&str; 3] = ["android-legacy", "ios-legacy", "ping-new"];
const PUSH_ID: &str = "AUTHENTICATE:3f0c6f5e-0d5f-4a3b-8f5a-2b7f3f9d1c021767225700000";

fn golden() -> Value {
    serde_json::from_str(include_str!("../../push/tests/data/wire-golden.json")).unwrap()
}

fn input(name: &str) -> Vec<u8> {
    HEXLOWER.decode(golden()["inputs"][name].as_str().unwrap().as_bytes()).unwrap()
}

fn mac(message: &[u8]) -> Vec<u8> {
    let mac = Hmac::<Sha256>::new_from_slice(&input("push_secret_hex")).unwrap();
    mac.chain_update(message).finalize().into_bytes().to_vec()
}

/// The claims of a message that the golden key signed, as C.2 has it.
fn opened(jwt: &str) -> Option<Value> {
    let (signed, tag) = jwt.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    let read =
        |text: &str| serde_json::from_slice::<Value>(&BASE64URL_NOPAD.decode(text.as_bytes()).ok()?).ok();
    let good = read(header)? == json!({ "typ": "JWT", "alg": "HS256" })
        && BASE64URL_NOPAD.decode(tag.as_bytes()).ok()? == mac(signed.as_bytes());
    read(claims).filter(|_| good)
}

/// A golden push, for the id that the app chose.
fn push(kind: &str, uid: &str) -> String {
    let mut claims = golden()["push_payload"][kind]["claims"].clone();
    claims["u"] = json!(uid);
    let signed = format!(
        "{}.{}",
        BASE64URL_NOPAD.encode(br#"{"typ":"JWT","alg":"HS256"}"#),
        BASE64URL_NOPAD.encode(claims.to_string().as_bytes())
    );
    format!("{signed}.{}", BASE64URL_NOPAD.encode(&mac(signed.as_bytes())))
}

#[derive(Default)]
struct Known {
    /// Its claims when it registered.
    registered: Option<Value>,
    /// How often it fetched.
    fetched: usize,
    /// The claims of its answers.
    answers: Vec<Value>,
}

/// An appliance of one registration. It takes exactly what C says.
#[derive(Clone)]
struct Strict {
    known: Arc<Mutex<Known>>,
    kind: &'static str,
    /// Whether there is a push from the second fetch on.
    pushes: bool,
}

impl Strict {
    fn new(kind: &'static str) -> Strict {
        Strict { known: Arc::default(), kind, pushes: true }
    }

    fn serve(&self) -> Server {
        let own = self.clone();
        Server::start(None, move |seen| own.reply(seen).unwrap_or_else(|| Reply::status(400)))
    }

    fn reply(&self, seen: &Seen) -> Option<Reply> {
        let ok = |body: &Value| {
            let body = body.to_string();
            Reply::Bytes(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()))
        };
        let mut known = self.known.lock().unwrap();
        if let Some(query) = seen.target.strip_prefix("/json/push/poll?") {
            let pairs: BTreeMap<_, _> = query.split('&').map(|pair| pair.split_once('=').unwrap()).collect();
            let (uid, at) = (*pairs.get("mechanismUid")?, *pairs.get("timestamp")?);
            let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
            let near = at.parse::<u128>().ok()?.abs_diff(now_ms) < 60_000;
            let signed = BASE64URL_NOPAD.decode(pairs.get("signature")?.as_bytes()).ok()?
                == mac(format!("{uid}|{at}").as_bytes());
            let own = known.registered.as_ref()?["mechanismUid"] == json!(uid);
            known.fetched += 1;
            let jwt = push(self.kind, uid);
            let item = json!({ "messageId": PUSH_ID, "message": jwt, "data": jwt });
            let messages = if self.pushes && known.fetched > 1 { vec![item] } else { Vec::new() };
            return (seen.method == "GET" && near && signed && own)
                .then(|| ok(&json!({ "messages": messages })));
        }
        let action = seen.target.strip_prefix("/json/push/sns/message?_action=")?;
        let cookie = [seen.header("cookie"), seen.header("set-cookie")].contains(&"amlbcookie=01");
        let headers = seen.header("content-type") == "application/json"
            && seen.header("accept-api-version") == "resource=1.0, protocol=1.0";
        let body: Value = serde_json::from_slice(&seen.body).ok()?;
        if seen.method != "POST" || !cookie || !headers || body.as_object()?.len() != 2 {
            return None;
        }
        let claims = opened(body["jwt"].as_str()?)?;
        let answers = |challenge: &str| claims["response"] == json!(BASE64.encode(&mac(&input(challenge))));
        match (action, &body["messageId"]) {
            ("register", id) if *id == golden()["registration_reply"]["messageId"] => {
                let texts = ["mechanismUid", "deviceId", "deviceName", "deviceType", "communicationType"];
                let good = answers("reg_challenge_hex") && texts.iter().all(|name| claims[name].is_string());
                let first = known.registered.is_none();
                known.registered = Some(claims.clone());
                (good && first).then(|| ok(&json!({})))
            }
            ("authenticate", id) if *id == json!(PUSH_ID) && answers("auth_challenge_hex") => {
                known.answers.push(claims);
                Some(ok(&json!({})))
            }
            _ => None,
        }
    }
}

/// The golden URI, but for where the phone answers.
fn uri(scheme: &str, origin: &str) -> String {
    let golden = golden()[scheme].as_str().unwrap().to_owned();
    let place = |action| format!("/json/push/sns/message?_action={action}");
    ["authenticate", "register"].into_iter().fold(golden, |uri, action| {
        let other = BASE64URL_NOPAD.encode(format!("https://otp.example.org{}", place(action)).as_bytes());
        uri.replace(&other, &BASE64URL_NOPAD.encode(format!("{origin}{}", place(action)).as_bytes()))
    })
}

/// Runs it with `--json`. A proxy in the environment, where nothing listens, must not matter.
fn run(arguments: &[&str]) -> Output {
    let output = command(arguments).output().unwrap();
    let said = [output.stdout.as_slice(), &output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    for secret in ["32WHir57K63F", "BZDMDZWJEQ7RUK73", "df65878abe7b", "0e46c1e6c924", "p256dh", "signature="]
    {
        assert!(!said.contains(secret), "a secret was told: {said}");
    }
    output
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.args(["--json", "device", "simulate"]).args(arguments);
    for proxy in ["http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"] {
        command.env(proxy, "http://127.0.0.1:9");
    }
    command
}

#[track_caller]
fn done(output: &Output, exit: i32) -> Value {
    assert_eq!(output.status.code(), Some(exit), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// Facts, 24, COMB-03, COMB-36: each personality registers, and shows the code that C.8 says it shows first.
#[test]
fn it_registers_and_shows_the_code() {
    for (personality, first) in PERSONALITIES.into_iter().zip([1, 0, 1]) {
        let strict = Strict::new("default");
        let server = strict.serve();
        let origin = format!("http://{}", server.address);
        let uri = uri("mfauth", &origin)
            .replace("mfauth://totp", "mfauth://hotp")
            .replace("&period=30", "&counter=0");
        let told = done(&run(&["--uri", &uri, "--personality", personality]), 0);
        let code = &golden()["hotp_first3"][first];
        assert_eq!(told, json!({ "registered": true, "code": code, "outcome": "registered", "push": null }));
        let registered = strict.known.lock().unwrap().registered.clone().unwrap();
        let (system, service) =
            if personality == "ios-legacy" { ("ios", "apns") } else { ("android", "gcm") };
        assert_eq!(
            (&registered["deviceType"], &registered["communicationType"]),
            (&json!(system), &json!(service))
        );
        assert!(registered["deviceId"].as_str().unwrap().starts_with("poll:"));
    }
}

/// COMB-02: codes alone need nobody; push alone has no code.
#[test]
fn each_half_goes_alone() {
    let uri_of_codes = golden()["otpauth_hotp"].as_str().unwrap().to_owned();
    let told = done(&run(&["--uri", &uri_of_codes, "--personality", "ping-new"]), 0);
    assert_eq!((&told["registered"], &told["outcome"]), (&json!(false), &json!("scanned")));
    assert_eq!(told["code"], golden()["hotp_first3"][1]);
    let server = Strict::new("default").serve();
    let uri = uri("pushauth", &format!("http://{}", server.address));
    // Over stdin no other user sees it.
    let mut child =
        command(&["--uri", "-", "--personality", "ios-legacy", "--address", "ntfy:upAbCdEfGh1234"]);
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    writeln!(child.stdin.take().unwrap(), "{uri}").unwrap();
    let told = done(&child.wait_with_output().unwrap(), 0);
    assert_eq!((&told["registered"], &told["code"]), (&json!(true), &Value::Null));
}

/// Facts, 24, COMB-04, COMB-42, AT-20: fetches, shows, answers. `--answer` alone fetches.
#[test]
fn it_fetches_and_answers() {
    for personality in PERSONALITIES {
        for (kind, answer, outcome, claim) in [
            ("default", "approve", "approved", None),
            ("challenge", "42", "approved", Some(("challengeResponse", json!("42")))),
            ("biometric", "deny", "denied", Some(("deny", json!(true)))),
        ] {
            let strict = Strict::new(kind);
            let server = strict.serve();
            let uri = uri("mfauth", &format!("http://{}", server.address));
            let told = done(&run(&["--uri", &uri, "--personality", personality, "--answer", answer]), 0);
            assert_eq!(told["outcome"], json!(outcome), "{personality} {kind}");
            assert_eq!(
                (&told["push"]["kind"], &told["push"]["text"]),
                (&json!(kind), &json!("Login to Example Inc"))
            );
            let numbers = if kind == "challenge" { json!([17, 42, 86]) } else { json!([]) };
            assert_eq!(told["push"]["numbers"], numbers);
            let answers = strict.known.lock().unwrap().answers.clone();
            let [said] = answers.as_slice() else { panic!("{answers:?}") };
            assert_eq!(said.as_object().unwrap().len(), 1 + usize::from(claim.is_some()));
            if let Some((name, value)) = claim {
                assert_eq!(said[name], value);
            }
        }
    }
}

/// Facts, 24, AT-24: delivered by the appliance's own carriers, past the store, to the address that the phone told.
#[test]
fn it_is_reached_where_it_listens() {
    let rig = Rig::new();
    for personality in PERSONALITIES {
        let strict = Strict::new("challenge");
        let server = strict.serve();
        let uri = uri("mfauth", &format!("http://{}", server.address));
        let arguments =
            ["--uri", &uri, "--personality", personality, "--listen", "127.0.0.1:0", "--answer", "17"];
        let child = command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let registration = server.next();
        let body: Value = serde_json::from_slice(&registration.body).unwrap();
        let claims = opened(body["jwt"].as_str().unwrap()).unwrap();
        let address = claims["deviceId"].as_str().unwrap();
        let place = address.strip_prefix("http://").unwrap().split('/').next().unwrap().to_owned();
        let carriers = rig.carriers(&format!("plain_loopback = true\nallow = [\"{place}\"]\n"), None);
        let id =
            push::message_id::MessageId::parse(push::message_id::Purpose::Authenticate, PUSH_ID).unwrap();
        let jwt = push(strict.kind, claims["mechanismUid"].as_str().unwrap());
        // A message under other keys is not the phone's.
        let other = address.split('#').next().unwrap();
        let other = super::subscription().address(other);
        assert_eq!(carriers.carry(&other, &message()), Ok(Carried::Sent));
        assert_eq!(carriers.carry(address, &Message { jwt, id, ..message() }), Ok(Carried::Sent));
        let told = done(&child.wait_with_output().unwrap(), 0);
        assert_eq!(told["outcome"], json!("approved"), "{personality}");
        assert_eq!(strict.known.lock().unwrap().answers[0]["challengeResponse"], json!("17"));
    }
}

/// Facts, exit codes: 1 refused, 2 usage, 3 unavailable; what is wrong and what to do, in words, without secrets.
#[test]
fn refusals_have_their_exit_codes() {
    let refusing = Server::start(None, |_| {
        Reply::Bytes("HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\n{}".to_owned())
    });
    let good = uri("mfauth", &format!("http://{}", refusing.address));
    let refused = done(&run(&["--uri", &good, "--personality", "android-legacy"]), 1);
    assert_eq!((&refused["registered"], &refused["outcome"]), (&json!(false), &json!("refused")));
    assert!(refused["code"].is_string(), "the codes stay (D-35)");
    for (from, to) in [("digits=6", "digits=7"), ("mfauth:", "other:"), ("&s=", "&t="), ("c=HMko", "c=HMk")] {
        let told = run(&["--uri", &good.replacen(from, to, 1), "--personality", "ios-legacy"]);
        assert_eq!(told.status.code(), Some(1), "{to}: {told:?}");
    }
    let strict = Strict { pushes: false, ..Strict::new("default") };
    let server = strict.serve();
    let waiting = uri("mfauth", &format!("http://{}", server.address));
    let told = done(&run(&["--uri", &waiting, "--personality", "ping-new", "--poll", "--wait", "1"]), 1);
    assert_eq!(told["outcome"], json!("no_push"));
    let (listener, nobody) = Server::half_open();
    drop(listener);
    let away = run(&["--uri", &uri("mfauth", &format!("http://{nobody}")), "--personality", "ping-new"]);
    assert_eq!(away.status.code(), Some(3), "{away:?}");
    assert!(String::from_utf8_lossy(&away.stderr).contains("cannot be reached"), "{away:?}");
    for usage in [
        &["--personality", "ping-new"][..],
        &["--uri", &good],
        &["--uri", &good, "--personality", "nokia"],
        &["--uri", &good, "--personality", "ping-new", "--answer", "maybe"],
        &["--uri", &good, "--personality", "ping-new", "--poll", "--listen", "127.0.0.1:0"],
        &["--uri", &good, "--personality", "ping-new", "--ca-file", "/nonexistent"],
        &["--state", "/nonexistent/phone"],
    ] {
        assert_eq!(command(usage).output().unwrap().status.code(), Some(2), "{usage:?}");
    }
}

/// Red when a push is answered that another key signed.
#[test]
fn a_forged_push_is_not_answered() {
    let strict = Strict::new("default");
    let own = strict.clone();
    let server = Server::start(None, move |seen| {
        let forge = |text: String| {
            text.replace("\"message\":\"e", "\"message\":\"f").replace("\"data\":\"e", "\"data\":\"f")
        };
        match own.reply(seen) {
            Some(Reply::Bytes(text)) => Reply::Bytes(forge(text)),
            _ => Reply::status(400),
        }
    });
    let uri = uri("mfauth", &format!("http://{}", server.address));
    let told = run(&["--uri", &uri, "--personality", "android-legacy", "--answer", "approve"]);
    assert_eq!(told.status.code(), Some(1), "{told:?}");
    assert!(strict.known.lock().unwrap().answers.is_empty());
}

/// Facts, 24: the file is its owner's alone, and a second run neither registers again nor shows the same HOTP code.
#[test]
fn it_is_taken_up_from_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("phone");
    let state = file.to_str().unwrap();
    let strict = Strict::new("default");
    let server = strict.serve();
    let uri = uri("mfauth", &format!("http://{}", server.address));
    let uri = uri.replace("mfauth://totp", "mfauth://hotp").replace("&period=30", "&counter=0");
    let first = done(&run(&["--uri", &uri, "--personality", "ios-legacy", "--state", state]), 0);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let second = done(&run(&["--state", state, "--answer", "approve"]), 0);
    assert_eq!((&first["code"], &second["code"]), (&golden()["hotp_first3"][0], &golden()["hotp_first3"][1]));
    assert_eq!((&second["registered"], &second["outcome"]), (&json!(true), &json!("approved")));
    for (other, why) in [
        (&["--uri", "otpauth://totp/a:b?secret=AAAA", "--state", state][..], "QR code"),
        (&["--personality", "ping-new", "--state", state], "personality"),
        (&["--listen", "127.0.0.1:0", "--state", state], "--listen"),
    ] {
        let told = run(other);
        assert_eq!(told.status.code(), Some(2), "{told:?}");
        assert!(String::from_utf8_lossy(&told.stderr).contains(why), "{told:?}");
    }
    std::fs::write(&file, "{\"uri\":\"32WHir57K63F\"").unwrap();
    assert_eq!(run(&["--state", state]).status.code(), Some(2));
    assert!(!Path::new(&format!("{state}.new")).exists());
}

/// An appliance with a certificate of its own: known by `--ca-file`, else not spoken to.
#[test]
fn a_certificate_of_the_appliances_own_is_known_by_its_authority() {
    let rig = Rig::new();
    let strict = Strict::new("default");
    let own = strict.clone();
    let tls = rig.authority.server("localhost", false);
    let server = Server::start(Some(tls), move |seen| own.reply(seen).unwrap_or_else(|| Reply::status(400)));
    let uri = uri("mfauth", &format!("https://localhost:{}", server.address.port()));
    let ca_file = rig.ca_file.to_str().unwrap();
    let unknown = run(&["--uri", &uri, "--personality", "android-legacy"]);
    assert_eq!(unknown.status.code(), Some(3), "{unknown:?}");
    assert!(strict.known.lock().unwrap().registered.is_none());
    let began = std::time::Instant::now();
    let told = done(&run(&["--uri", &uri, "--personality", "android-legacy", "--ca-file", ca_file]), 0);
    assert_eq!(told["registered"], json!(true));
    assert!(began.elapsed() < PATIENCE.max(Duration::from_secs(1)));
}
