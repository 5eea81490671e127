//! A login for an application, which sends the browser here and gets it back with a one-time code.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};

use serde_json::json;
use tests::browser::Browser;
use tests::forms::Visitor;

use super::{PASSWORD, base, registered, site};

const TABLES: &str = r#"
[[flow]]
id = "login"
steps = ["password"]
"#;

/// An application that answers everything alike.
fn application() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port on loopback");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let lines = BufReader::new(stream.try_clone().expect("a descriptor")).lines();
            let head = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).count();
            let body = format!("welcome, {head}");
            let length = body.len();
            let answer =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
            // A browser that hangs up has what it wanted.
            drop(stream.write_all(answer.as_bytes()));
        }
    });
    address
}

/// D-38, B.4.2. Red when Chromium may not follow the redirect after the last form, when the code is good twice or for
/// another application, or a second browser gets into the flow.
#[test]
fn the_browser_comes_back_with_a_code() {
    let rig = site(TABLES);
    registered(&rig, "alice");
    let shop = rig.app_key("shop", &["challenge"]);
    let other = rig.app_key("other", &["challenge"]);
    let back = format!("http://{}/back?from=login", application());
    let state = "a state & more";
    let begun = rig
        .loopback(Some(&shop))
        .post("/v1/flows", &json!({"flow": "login", "return_url": back, "state": state}))
        .expect(201)
        .json();
    let page = begun["page"].as_str().expect("a page").to_owned();
    assert!(page.starts_with(&format!("{}/ui/f/", base(&rig))), "{page}");
    let browser = Browser::open(&base(&rig));
    browser.go(&page);
    browser.at("/ui/login");
    let mut thief = Visitor::new(rig.address);
    thief.go(&page[base(&rig).len()..]);
    assert_eq!(thief.error().as_deref(), Some("flow.expired"), "only one browser gets in");
    browser.submit(&[("username", "alice"), ("password", "not her password")]);
    assert_eq!(browser.error().as_deref(), Some("login.error.invalid"));
    browser.submit(&[("username", "alice"), ("password", PASSWORD)]);
    let url = browser.url();
    assert!(url.starts_with(&format!("{back}&code=")), "{url}");
    assert!(url.ends_with("&state=a%20state%20%26%20more"), "{url}");
    let (_, code) = url.split_once("&code=").expect("a code");
    let code = code.split('&').next().unwrap_or_default();
    let claim = |key: &str| rig.loopback(Some(key)).post("/v1/flows/result", &json!({"code": code}));
    assert_eq!(claim(&other).status, 404);
    let claimed = claim(&shop).expect(200).json();
    assert_eq!((&claimed["user"], &claimed["amr"]), (&json!("alice"), &json!(["password"])));
    assert_eq!(claim(&shop).status, 404, "once");
    assert!(rig.events("user=alice").iter().any(|event| event["type"] == "flow.done"));
}

/// Red when an address that only looks like this machine is taken.
#[test]
fn browsers_are_sent_to_safe_places_only() {
    let rig = site(TABLES);
    let shop = rig.app_key("shop", &["challenge"]);
    for url in
        ["http://app.example.org/", "http://127.0.0.1.example.org/", "javascript:alert(1)", "https://a@b/"]
    {
        let refused =
            rig.loopback(Some(&shop)).post("/v1/flows", &json!({"flow": "login", "return_url": url}));
        assert!((400..500).contains(&refused.status), "{url}: {}", refused.text());
    }
}
