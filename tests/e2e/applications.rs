//! The sample applications, as they are shipped: a PAM service, and a web application whose users log in at the
//! appliance's pages.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;
use tests::appliance::workspace;
use tests::forms::Visitor;
use tests::process::Owned;
use tests::{Appliance, Client, PATIENCE, RigOptions, wait_until};

const PASSWORD: &str = "correct horse 4711";
const PHONE: &str = "+41790000001";
/// A login that is strong enough for the sample, and one that is not.
const LOGINS: &str = r#"
[[authenticator]]
id = "code"
type = "sms"
send_otp_as_code = true
otp_ttl = "5m"
allow_registration_during_login = false

[[flow]]
id = "login"
steps = ["password", "sms:code"]

[[flow]]
id = "password-only"
steps = ["password"]
"#;

fn shipped(name: &str) -> PathBuf {
    workspace().join("docs/examples/applications").join(name)
}

fn key_file(rig: &Appliance, name: &str, scopes: &[&str]) -> PathBuf {
    let path = rig.path(&format!("{name}.key"));
    fs::write(&path, rig.app_key(name, scopes)).expect("a scratch file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("own file");
    path
}

/// Whether PAM lets alice in with this code: the real stack, in a mount namespace whose `/etc/pam.d` is ours.
fn pam(rig: &Appliance, service: &Path, code: &str) -> bool {
    let script = "mount --bind \"$1\" /etc/pam.d && exec pamtester countersign-sample alice authenticate";
    let mut child = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"])
        .arg(service)
        .env("COUNTERSIGN", &rig.binary)
        .env("COUNTERSIGN_SOCKET", &rig.socket)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("unshare starts");
    let mut typed = child.stdin.take().expect("piped");
    writeln!(typed, "{code}").expect("the code is typed");
    drop(typed);
    let ended = child.wait_with_output().expect("it ends");
    let said =
        format!("{}{}", String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    // pam_exec makes a system error of its program's refusal.
    assert!(said.contains("authenticated") || said.contains("System error"), "{said}");
    ended.status.success()
}

/// The PAM sample lets a user in by a right code, once, and by nothing else; without a daemon nobody.
#[test]
fn pam_lets_a_user_in_by_a_code() {
    let mut rig = Appliance::start(RigOptions::default());
    let token = rig.hotp_user("alice");
    let key = key_file(&rig, "pam", &["verify"]);
    let service = rig.path("pam.d");
    fs::create_dir(&service).expect("a scratch directory");
    // pam_exec starts its program without our environment, and scratch directories may forbid to start anything.
    let wrapper = rig.path("countersign-pam");
    let (binary, socket) = (rig.binary.display(), rig.socket.display());
    let sample = shipped("countersign-pam").display().to_string();
    let text = format!(
        "#!/bin/sh\nCOUNTERSIGN={binary} COUNTERSIGN_SOCKET={socket} COUNTERSIGN_KEY_FILE={} exec {sample}\n",
        key.display()
    );
    fs::write(&wrapper, text).expect("a scratch file");
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).expect("own file");
    let line = format!("auth required pam_exec.so expose_authtok quiet /bin/sh {}\n", wrapper.display());
    fs::write(service.join("countersign-sample"), line).expect("a scratch file");

    assert!(!pam(&rig, &service, &token.secret.wrong(0..20)));
    assert!(pam(&rig, &service, &token.secret.hotp(0)));
    assert!(!pam(&rig, &service, &token.secret.hotp(0)), "once");
    rig.stop();
    assert!(!pam(&rig, &service, &token.secret.hotp(1)), "nobody answers");
}

/// The web application as its operator starts it.
struct WebApp {
    address: SocketAddr,
    _process: Owned,
}

impl WebApp {
    fn start(rig: &Appliance, key: &Path, flow: &str) -> WebApp {
        let log = rig.path(&format!("webapp-{flow}.log"));
        let mut command = Command::new("python3");
        command
            .arg(shipped("webapp.py"))
            .env("COUNTERSIGN_API", format!("http://{}", rig.address))
            .env("COUNTERSIGN_KEY_FILE", key)
            .env("FLOW", flow)
            .env("PORT", "0");
        let mut process = Owned::start(&mut command, &log);
        let address = wait_until(PATIENCE, "the web application listens", || {
            let said = fs::read_to_string(&log).unwrap_or_default();
            assert!(process.ended().is_none(), "the web application ended: {said}");
            said.strip_prefix("http://")?.strip_suffix("/\n")?.parse().ok()
        });
        WebApp { address, _process: process }
    }

    fn browser(&self) -> Visitor {
        Visitor::new(self.address)
    }

    /// Presses "log in": where the browser is sent.
    fn leave(&self, browser: &mut Visitor) -> String {
        let answer = browser.send("GET", "/login", None);
        assert_eq!(answer.status, 303, "{}", answer.text());
        answer.header("location").expect("a page of the appliance").to_owned()
    }

    /// What the browser is told when it comes back with a code and a state.
    fn come_back(&self, browser: &mut Visitor, code: &str, state: &str) -> (u16, String) {
        let answer = browser.send("GET", &format!("/callback?code={code}&state={state}"), None);
        (answer.status, answer.text())
    }

    /// Whom the application shows as logged in.
    fn greets(&self, browser: &mut Visitor) -> String {
        browser.send("GET", "/", None).text().trim().to_owned()
    }
}

/// Walks through the appliance's pages as alice: the address that the browser comes back with.
fn walk(rig: &Appliance, page: &str, nth: usize) -> String {
    let path = page.strip_prefix(&format!("http://{}", rig.address)).expect("a page of the appliance");
    let mut visitor = Visitor::new(rig.address);
    visitor.go(path).at("/ui/login").submit(&[("username", "alice"), ("password", PASSWORD)]);
    if visitor.path == "/ui/sms/code" {
        let code = rig.modem().await_message(PHONE, nth).code();
        visitor.submit(&[("otp", &code)]);
    }
    let answer = visitor.page.take().expect("an answer");
    answer.header("location").unwrap_or_else(|| panic!("no way back: {}", answer.text())).to_owned()
}

/// Code and state of an address.
fn brought(url: &str) -> (String, String) {
    let value = |name: &str| {
        let (_, rest) = url.split_once(name).unwrap_or_else(|| panic!("no {name} in {url}"));
        rest.split('&').next().unwrap_or_default().to_owned()
    };
    (value("code="), value("state="))
}

/// A login of another kind than the sample's own, begun for the same place: its code.
fn begun_elsewhere(rig: &Appliance, key: &str, app: &WebApp, nth: usize) -> String {
    let back = format!("http://{}/callback", app.address);
    let begin = json!({"flow": "login", "return_url": back, "state": "x"});
    let begun = rig.loopback(Some(key)).post("/v1/flows", &begin).expect(201).json();
    let url = walk(rig, begun["page"].as_str().expect("a page"), nth);
    brought(&url).0
}

fn web_rig() -> Appliance {
    let options = RigOptions { pages: true, ..RigOptions::with_modem() };
    let rig = Appliance::start(options.config(&format!("{LOGINS}{}", tests::appliance::MANY_MESSAGES)));
    rig.admin().post("/v1/users", &json!({"name": "alice", "password": PASSWORD})).expect(201);
    rig.phone("alice", PHONE);
    rig
}

/// B.4.2, D-38: the sample web application sends its user to the pages, gets the browser back with a code, fetches
/// the result over its own connection and greets the user; the same address a second time, in this browser or in
/// another one, logs nobody in. Red when the code or the state is good twice.
#[test]
fn the_web_application_greets_who_logged_in() {
    let rig = web_rig();
    let app = WebApp::start(&rig, &key_file(&rig, "webapp", &["challenge"]), "login");
    let mut browser = app.browser();
    assert_eq!(app.greets(&mut browser), "You are not logged in. Go to /login.");
    let page = app.leave(&mut browser);
    let left_with = browser.cookie.clone();
    let url = walk(&rig, &page, 1);
    assert!(url.starts_with(&format!("http://{}/callback?code=", app.address)), "{url}");
    let (code, state) = brought(&url);
    assert_eq!(app.come_back(&mut browser, &code, &state).0, 303);
    assert_eq!(app.greets(&mut browser), "Hello alice.");

    let mut again = app.browser();
    again.cookie = left_with;
    let refused = (400, "This login was not begun here.\n".to_owned());
    assert_eq!(app.come_back(&mut again, &code, &state), refused, "a whole address a second time");
    assert!(app.greets(&mut again).starts_with("You are not logged in"));
    // Whoever is sent to a foreign login's end is not logged in as somebody else.
    let page = app.leave(&mut again);
    let (code, state) = brought(&walk(&rig, &page, 2));
    assert_eq!(app.come_back(&mut app.browser(), &code, &state), refused, "another browser");
    assert_eq!(rig.events("type=flow.claimed").len(), 1);
}

/// B.4.2: wrong, used and foreign codes log nobody in, nor does a login that is too weak; a foreign code keeps its
/// worth for its owner. Red when `claim` does not look at the application, or the sample not at the flow and level.
#[test]
fn the_web_application_takes_its_own_fresh_codes_only() {
    let rig = web_rig();
    let (mine, shop) = (key_file(&rig, "webapp", &["challenge"]), rig.app_key("shop", &["challenge"]));
    let app = WebApp::start(&rig, &mine, "login");
    let key = fs::read_to_string(&mine).expect("the key's file");
    let claim = |key: &str, code: &str| {
        let mut client: Client = rig.loopback(Some(key));
        client.post("/v1/flows/result", &json!({"code": code}))
    };
    let used = begun_elsewhere(&rig, &key, &app, 1);
    claim(&key, &used).expect(200);
    let foreign = begun_elsewhere(&rig, &shop, &app, 2);
    let refused = |code: &str, told: &str| {
        let mut browser = app.browser();
        app.leave(&mut browser);
        let state = browser.cookie.clone().expect("a cookie").split_once('=').expect("a pair").1.to_owned();
        let (status, text) = app.come_back(&mut browser, code, &state);
        assert!(status == 403 && text.starts_with(told), "{code}: {status} {text}");
        assert!(app.greets(&mut browser).starts_with("You are not logged in"), "{code}");
    };
    let none = "The login did not succeed: 404";
    refused("", none);
    refused(&"A".repeat(43), none);
    refused(&used, none);
    refused(&foreign, none);
    claim(&shop, &foreign).expect(200);
    // Good, and this application's, but of a login that another browser began.
    let injected = begun_elsewhere(&rig, &key, &app, 3);
    refused(&injected, "This is another login");

    let weak = WebApp::start(&rig, &mine, "password-only");
    let mut browser = weak.browser();
    let page = weak.leave(&mut browser);
    let (code, state) = brought(&walk(&rig, &page, 0));
    let told = (403, "The login is not strong enough.\n".to_owned());
    assert_eq!(weak.come_back(&mut browser, &code, &state), told);
}
