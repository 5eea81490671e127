//! What holds of every page: headers, cookies, whose forms are taken, how much, and nothing from outside.

use tests::browser::{Browser, BrowserOptions};
use tests::forms::Visitor;

use super::{PASSWORD, base, registered, site};

const TABLES: &str = r#"
[[flow]]
id = "login"
steps = ["password", "oath"]
"#;

const SELF_SERVICE: &str = r#"
[[flow]]
id = "login"
steps = ["password"]

[[selfservice]]
id = "app"
label = "New authenticator app"
steps = ["oath-activate"]
"#;

/// D-38, B.4.2: strict headers on every page, errors among them.
#[test]
fn headers_let_nothing_in() {
    let rig = site(TABLES);
    let mut visitor = Visitor::new(rig.address);
    for path in ["/ui/login", "/ui/register", "/ui/l/AAAAAAAAAAAAAAAAAAAAAA", "/ui/f/nothing", "/ui/nothing"]
    {
        visitor.go(path);
        let page = visitor.page.take().expect("a page");
        let header = |name: &str| page.header(name).unwrap_or_default().to_owned();
        let csp = header("content-security-policy");
        for part in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"]
        {
            assert!(csp.contains(part), "{path}: {csp}");
        }
        assert!(!csp.contains("unsafe") && !csp.contains("script-src"), "{path}: {csp}");
        assert_eq!(header("x-frame-options"), "DENY", "{path}");
        assert_eq!(header("cache-control"), "no-store", "{path}");
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header("referrer-policy"), "no-referrer", "{path}");
        assert_eq!(header("content-type"), "text/html; charset=utf-8", "{path}");
        assert!(!page.text().contains("<script") && !page.text().contains(" style="), "{path}");
    }
    visitor.go("/ui/login");
    let answer = visitor.send("GET", "/ui/login", None);
    let mut fresh = Visitor::new(rig.address);
    let cookie = fresh.send("GET", "/ui/login", None).header("set-cookie").unwrap_or_default().to_owned();
    for part in ["HttpOnly", "SameSite=Lax", "Path=/ui"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Expires") && !cookie.contains("Max-Age"), "it ends with the browser: {cookie}");
    assert!(answer.header("set-cookie").is_none(), "a visit to the same page begins nothing new");
}

/// D-38: pages with a script run our own file and no other, and it asks nobody but us.
#[test]
fn only_our_own_script_runs() {
    let rig = site(SELF_SERVICE);
    registered(&rig, "alice");
    let mut visitor = Visitor::new(rig.address);
    visitor.go("/ui/login").submit(&[("username", "alice"), ("password", PASSWORD)]).at("/ui/done");
    visitor.go("/ui/self").submit(&[("flow", "app")]).at("/ui/oath/activate");
    let page = visitor.page.take().expect("a page");
    let csp = page.header("content-security-policy").unwrap_or_default();
    assert!(csp.contains("default-src 'none'") && !csp.contains("unsafe"), "{csp}");
    assert!(csp.ends_with("; script-src 'self'; connect-src 'self'"), "{csp}");
    assert_eq!(page.text().matches("<script").count(), 1);
    assert!(page.text().contains("<script src=\"/ui/static/pages.js\" defer></script>"));
    let script = visitor.send("GET", "/ui/static/pages.js", None);
    assert_eq!(script.header("content-type"), Some("text/javascript; charset=utf-8"));
    assert_eq!(script.header("x-content-type-options"), Some("nosniff"));
}

/// A forged form is refused and changes nothing. Red when the token or the browser's word is not looked at.
#[test]
fn only_our_own_forms_are_taken() {
    let rig = site(TABLES);
    registered(&rig, "alice");
    let fields = [("username", "alice"), ("password", PASSWORD)];
    let mut visitor = Visitor::new(rig.address);
    visitor.go("/ui/login");
    let csrf = visitor.csrf();
    assert_eq!(csrf.len(), 64);
    let mut stranger = Visitor::new(rig.address);
    stranger.go("/ui/login");
    for forged in [None, Some(""), Some("0"), Some(stranger.csrf().as_str())] {
        let token: Vec<(&str, &str)> = forged.map(|token| ("csrf", token)).into_iter().collect();
        let answer = visitor.send("POST", "/ui/login", Some(&[&token, &fields[..]].concat()));
        assert_eq!(answer.status, 403, "{forged:?}");
        assert!(answer.text().contains("data-error=\"page.forbidden\""), "{}", answer.text());
    }
    let whole = [&[("csrf", csrf.as_str())], &fields[..]].concat();
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "http://evil.example"),
        ("origin", "https://127.0.0.1"),
    ] {
        visitor.headers = vec![(name, value.to_owned())];
        assert_eq!(visitor.send("POST", "/ui/login", Some(&whole)).status, 403, "{name}: {value}");
    }
    assert!(!rig.events("user=alice").iter().any(|event| event["type"] == "login.verified"));
    visitor.headers = vec![("origin", base(&rig)), ("sec-fetch-site", "same-origin".to_owned())];
    assert_eq!(visitor.send("POST", "/ui/login", Some(&whole)).status, 303);
    visitor.go("/ui/oath/verify").at("/ui/oath/verify");
}

/// A flow whose time is over says so, and leads to a new beginning.
#[test]
fn a_flow_that_is_over_says_so() {
    let rig = site(TABLES);
    registered(&rig, "alice");
    let browser = Browser::open(&base(&rig));
    browser.go("/ui/login");
    let store = rusqlite::Connection::open(rig.state.join("countersign.db")).expect("the store");
    let gone = store.execute("DELETE FROM flow", []).expect("the table of flows");
    assert!(gone >= 1);
    browser.submit(&[("username", "alice"), ("password", PASSWORD)]);
    assert_eq!(browser.error().as_deref(), Some("flow.expired"));
    browser.click("a.primary");
    browser.at("/ui/login");
    assert!(browser.error().is_none());
    browser.submit(&[("username", "alice"), ("password", PASSWORD)]);
    browser.at("/ui/oath/verify");
}

/// SMS-43: who asks too often gets a page that says so, in the visitor's language.
#[test]
fn too_many_requests_get_a_page() {
    let rig = site(TABLES);
    let mut visitor = Visitor::new(rig.address);
    visitor.go("/ui/login");
    visitor.headers = vec![("accept-language", "de".to_owned())];
    let refused =
        (0..500).map(|_| visitor.send("GET", "/ui/login", None)).find(|answer| answer.status == 429);
    let refused = refused.expect("a limit");
    assert!(refused.header("retry-after").is_some());
    assert!(refused.text().contains("data-error=\"page.too-many-requests\""), "{}", refused.text());
    assert!(refused.text().contains("lang=\"de\"") && refused.header("content-security-policy").is_some());
    assert_eq!(Visitor::new(rig.address).go("/ui/login").page.take().expect("a page").status, 200);
}

/// D-38: no page makes the browser ask any host but ours.
#[test]
fn nothing_comes_from_outside() {
    let rig = site(TABLES);
    registered(&rig, "alice");
    let browser = Browser::with(&base(&rig), BrowserOptions { log: true, ..BrowserOptions::default() });
    browser.go("/ui/login");
    browser.submit(&[("username", "alice"), ("password", PASSWORD)]);
    browser.at("/ui/oath/verify");
    browser.go("/ui/register");
    browser.go("/ui/l/nothing");
    let hosts = browser.hosts();
    assert_eq!(hosts, [rig.address.to_string()]);
}
