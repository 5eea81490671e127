//! What phones show of the appliance, and where they are listed: COMB-11, D-38.

use std::fs;
use std::io::{BufReader, Write};

use rusqlite::Connection;
use serde_json::{Value, json};
use tests::device::Personality;
use tests::handset::{begin, register};
use tests::http::{Endpoint, read_answer};
use tests::{Answer, Appliance, Client, RigOptions};

const SCOPES: [&str; 2] = ["tokens:write", "users:read"];

fn rig(config: &str) -> (Appliance, Client) {
    let rig = Appliance::start(RigOptions { pages: true, ..RigOptions::default().config(config) });
    let key = rig.app_key("portal", &SCOPES);
    let client = rig.loopback(Some(&key));
    (rig, client)
}

/// Signature and header of a PNG (ISO/IEC 15948, 11.2.1) of this size, and as many bytes after it.
fn png(width: u32, height: u32, more: usize) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
    bytes.extend(width.to_be_bytes());
    bytes.extend(height.to_be_bytes());
    bytes.extend([8, 6, 0, 0, 0]);
    bytes.resize(bytes.len() + more, 0);
    bytes
}

/// The picture that a QR code tells of; none where it tells of none.
#[track_caller]
fn image(rig: &Appliance, client: &mut Client, user: &str) -> Option<String> {
    rig.user(user);
    let begun = begin(client, user, "combined");
    let uri = begun["uri"].as_str().expect("a URI").to_owned();
    let (_, rest) = uri.split_once("image=")?;
    Some(rest.split('&').next().unwrap_or_default().to_owned())
}

/// COMB-11, D-38: a picture is checked by its content, served unchanged, and told to the phones that register from then
/// on. Red when it is taken by its name, when its bounds are not looked at, or when a phone is not told.
#[test]
fn a_picture_is_stored_served_and_told() {
    let (rig, mut client) = rig("[push]\n");
    assert_eq!(image(&rig, &mut client, "before"), None);
    assert_eq!(rig.cli(&["mfa", "logo", "show"]).status.code(), Some(1));
    let file = |name: &str, bytes: &[u8]| {
        let path = rig.path(name);
        fs::write(&path, bytes).expect("own scratch directory");
        path.to_str().expect("text").to_owned()
    };
    for (name, bytes, text) in [
        ("wide.png", png(1025, 10, 0), "1025 x 10 pixels"),
        ("large.png", png(10, 10, 1024 * 1024), "larger than 1048576 bytes"),
        ("vector.png", b"<svg xmlns='http://www.w3.org/2000/svg'/>".to_vec(), "neither PNG nor JPEG"),
        ("none.png", Vec::new(), "neither PNG nor JPEG"),
    ] {
        let output = rig.cli(&["mfa", "logo", "set", &file(name, &bytes)]);
        let told = tests::appliance::told(&output);
        assert!(output.status.code() == Some(2) && told.contains(text), "{name}: {told}");
        // The daemon does not take the command's word.
        let answer = rig.admin().send("PUT", "/v1/mfa/logo", Some(&bytes)).expect("an answer");
        let status = if name == "large.png" { 413 } else { 400 };
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
    }
    assert_eq!(rig.loopback(None).get("/static/logo.png").status, 404);

    let picture = png(640, 480, 20_000);
    let stored = rig.cli_json(&["mfa", "logo", "set", &file("a-jpeg-by-name.jpg", &picture)]);
    assert_eq!(
        (&stored["kind"], &stored["width"], &stored["height"], &stored["bytes"]),
        (&json!("image/png"), &json!(640), &json!(480), &json!(picture.len()))
    );
    let url = stored["url"].as_str().expect("an address").to_owned();
    assert_eq!(rig.cli_json(&["mfa", "logo", "show"]), stored);
    assert!(url.ends_with("/static/logo.png"), "{url}");
    assert_eq!(image(&rig, &mut client, "after").as_deref(), Some(url.as_str()));
    let served = rig.loopback(None).get("/static/logo.png").expect(200);
    assert!(served.body == picture, "unchanged");
    for (name, value) in [
        ("content-type", "image/png"),
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "default-src 'none'; sandbox"),
    ] {
        assert_eq!(served.header(name), Some(value), "{name}");
    }
    assert_eq!(client.send("PUT", "/v1/mfa/logo", Some(&picture)).expect("an answer").status, 403);

    rig.cli_json(&["mfa", "logo", "clear"]);
    assert_eq!(rig.cli(&["mfa", "logo", "clear"]).status.code(), Some(1));
    assert_eq!(image(&rig, &mut client, "later"), None);
    assert_eq!(rig.loopback(None).get("/static/logo.png").status, 404);
    let events = rig.events("type=mfa");
    let kinds = events.iter().filter_map(|event| event["type"].as_str());
    let kinds: Vec<&str> = kinds.filter(|kind| kind.starts_with("mfa.logo")).collect();
    assert_eq!(kinds, ["mfa.logo_set", "mfa.logo_cleared"]);
    rig.check_chain();
}

/// What is answered to who has a file of this tag.
fn get_again(rig: &Appliance, path: &str, tag: &str) -> Answer {
    let mut stream = Endpoint::Tcp(rig.address).connect().expect("a connection");
    write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nif-none-match: {tag}\r\n\r\n").expect("sent");
    read_answer(&mut BufReader::new(stream)).expect("an answer")
}

/// COMB-11, RFC 9110 13.1.2. Red when a file that a browser has is sent again, when a changed one is not seen at once on
/// the pages, or when whoever asks for the picture without end is served without end.
#[test]
fn a_file_is_sent_to_who_has_another_one() {
    let picture = |width| png(width, 64, 100);
    let logo = std::env::temp_dir().join(format!("countersign-logo-{}.png", std::process::id()));
    fs::write(&logo, picture(64)).expect("a temporary file");
    let (rig, _) = rig(&format!("[push]\n[pages]\nlogo = \"{}\"\n", logo.display()));
    let set = |bytes: &[u8]| {
        rig.admin().send("PUT", "/v1/mfa/logo", Some(bytes)).expect("an answer").expect(200);
    };
    set(&picture(64));
    let mut client = rig.loopback(None);
    for (path, keep) in [
        ("/static/logo.png", "max-age=300"),
        ("/ui/static/logo", "no-cache"),
        ("/ui/static/style.css", "no-cache"),
        ("/ui/static/pages.js", "no-cache"),
    ] {
        let whole = client.get(path).expect(200);
        assert_eq!(whole.header("cache-control"), Some(keep), "{path}");
        let tag = whole.header("etag").expect("a tag").to_owned();
        let known = get_again(&rig, path, &tag).expect(304);
        assert!(known.body.is_empty() && known.header("etag") == Some(&tag), "{path}");
        if path.contains("logo") {
            set(&picture(65));
            fs::write(&logo, picture(65)).expect("a temporary file");
            assert_eq!(get_again(&rig, path, &tag).expect(200).body, picture(65), "{path}");
        }
        fs::write(&logo, picture(64)).expect("a temporary file");
    }
    fs::remove_file(&logo).expect("own file");
    let limited = (0..2_000).any(|_| client.get("/static/logo.png").status == 429);
    assert!(limited, "whoever asks without end is served without end");
}

/// COMB-11: what the configuration names comes first, and the command says so. Red when phones are told another address.
#[test]
fn a_configured_address_comes_first() {
    let (rig, mut client) = rig("[push]\n[mfa]\nlogo_url = \"https://cdn.example.org/l.png\"\n");
    let file = rig.path("logo.png");
    fs::write(&file, png(64, 64, 0)).expect("own scratch directory");
    let stored = rig.cli(&["mfa", "logo", "set", file.to_str().expect("text")]);
    assert!(tests::appliance::told(&stored).contains("as mfa.logo_url says"), "{stored:?}");
    assert_eq!(image(&rig, &mut client, "alice").as_deref(), Some("https://cdn.example.org/l.png"));
}

/// A22: a picture that was put into the store past the appliance is not served. Red when its MAC leaves the picture out.
#[test]
fn a_changed_picture_is_not_served() {
    let (rig, _) = rig("[push]\n");
    let file = rig.path("logo.png");
    fs::write(&file, png(64, 64, 10)).expect("own scratch directory");
    rig.cli_json(&["mfa", "logo", "set", file.to_str().expect("text")]);
    let store = Connection::open(rig.state.join("countersign.db")).expect("the store");
    for (change, back) in [
        ("picture = CAST(picture || x'00' AS BLOB)", "picture = substr(picture, 1, length(picture) - 1)"),
        ("kind = 'image/jpeg'", "kind = 'image/png'"),
        ("mac = zeroblob(32)", ""),
    ] {
        store.execute(&format!("UPDATE mfa_logo SET {change}"), []).expect("the row");
        assert_eq!(rig.loopback(None).get("/static/logo.png").status, 404, "{change}");
        if !back.is_empty() {
            store.execute(&format!("UPDATE mfa_logo SET {back}"), []).expect("the row");
            assert_eq!(rig.loopback(None).get("/static/logo.png").status, 200, "{back}");
        }
    }
    assert_eq!(rig.events("type=store.tampered").len(), 1, "anybody can ask for it");
}

/// OATH-17, COMB-39: phones are tokens too, and are listed among them, over pages of whatever length. Red when they are
/// left out, or one is listed twice or not at all.
#[test]
fn phones_are_listed_among_all_tokens() {
    let (rig, mut client) = rig("[push]\n");
    let mut expected = Vec::new();
    for user in ["alice", "bob", "carl"] {
        expected.push(rig.totp_user(user).serial);
        expected.push(rig.token(user, &json!({"type": "hotp"})).serial);
        let registered = register(&rig, &mut client, user, ("push", Personality::PingNew));
        let serial = registered.shown["push"]["device"]["serial"].as_str().expect("a serial");
        expected.push(serial.to_owned());
    }
    expected.sort();
    let phone = expected.iter().position(|serial| serial.starts_with("CSP"));
    assert_eq!(phone, Some(3), "between the counters and the clocks: {expected:?}");
    let list = rig.cli_json(&["token", "list"]);
    let of = |list: &Value| -> Vec<String> {
        let items = list["items"].as_array().expect("a list").iter();
        items.map(|token| token["serial"].as_str().expect("a serial").to_owned()).collect()
    };
    assert_eq!(of(&list), expected);
    let kinds: Vec<&Value> =
        list["items"].as_array().expect("a list").iter().map(|token| &token["type"]).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == "push").count(), 3, "{list}");
    for limit in 1..=expected.len() {
        let (mut found, mut after) = (Vec::new(), String::new());
        loop {
            let page = client.get(&format!("/v1/tokens?limit={limit}&after={after}")).expect(200).json();
            found.extend(of(&page));
            match page["next"].as_str() {
                Some(next) => after = next.to_owned(),
                None => break,
            }
        }
        assert_eq!(found, expected, "pages of {limit}");
    }
}
