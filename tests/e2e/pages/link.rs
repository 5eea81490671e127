//! Login with a link that is opened on the phone.

use tests::browser::{Browser, BrowserOptions};
use tests::forms::Visitor;

use tests::{Appliance, Message, ModemOptions, PATIENCE, RigOptions, wait_until};

use super::{NEWCOMERS, PASSWORD, PHONE, base, site, with_phone};

/// The events of messages that a modem has sent for a login.
const SENT: &str = "type=sms.challenge_sent";

const LINK: &str = r#"
[[authenticator]]
id = "link"
type = "sms"
link_ttl = "5m"
allow_registration_during_login = false

[[flow]]
id = "login"
steps = ["password", "sms:link"]
"#;

/// Where the link of a message leads, as a path.
fn path_of(rig: &Appliance, message: &Message) -> String {
    let text = message.text.clone().unwrap_or_default();
    let base = base(rig);
    let start = text.find(&base).unwrap_or_else(|| panic!("no link in {text:?}"));
    text[start + base.len()..].split_whitespace().next().unwrap_or_default().to_owned()
}

/// A browser whose page is held while it waits for the phone, at the login.
fn waiting(rig: &Appliance) -> Browser {
    let browser = Browser::with(&base(rig), BrowserOptions { settles: false, ..BrowserOptions::default() });
    browser.go("/ui/login");
    browser.await_element("input[name=username]");
    browser
}

/// SMS-02, SMS-04, SMS-38, SMS-39, D-13. Red when opening the link approves, or it approves twice.
#[test]
fn the_phone_approves_and_the_page_goes_on() {
    let rig = site(LINK);
    with_phone(&rig, "alice", PHONE);
    let browser = waiting(&rig);
    // The same browser, whose button can be pressed while its page is held.
    let mut same = Visitor::new(rig.address);
    same.cookie = browser.cookie("countersign").map(|cookie| format!("countersign={}", cookie.value));
    browser.submit(&[("username", "alice"), ("password", PASSWORD)]);
    browser.await_path("/ui/sms/wait");
    let link = path_of(&rig, &rig.modem().await_message(PHONE, 1));
    assert!(link.starts_with("/ui/l/") && link.len() == "/ui/l/".len() + 22, "{link}");
    let phone = Browser::open(&base(&rig));
    phone.go(&link);
    assert!(phone.text("main").contains("alice"));
    assert!(phone.cookie("countersign").is_none(), "the phone gets no session");
    phone.reload();
    // Whoever looks decides nothing, a scanner of messages neither.
    let mut scanner = Visitor::new(rig.address);
    assert_eq!(scanner.send("GET", &link, None).status, 200);
    same.go("/ui/sms/wait").submit(&[]).at("/ui/sms/wait");
    phone.press("approve");
    assert!(phone.error().is_none());
    browser.await_path("/ui/done");
    for _ in 0..2 {
        phone.go(&link);
        assert_eq!(phone.error().as_deref(), Some("verify.view.token.invalid"));
        assert!(!phone.has("button"));
    }
    let answer = scanner.send("POST", &link, Some(&[("action", "approve")]));
    assert_eq!(answer.status, 404);
}

/// SMS-38, SMS-40: a rejection on the phone ends the login; a new one begins from there.
#[test]
fn the_phone_rejects() {
    let rig = site(LINK);
    with_phone(&rig, "alice", PHONE);
    let browser = waiting(&rig);
    browser.submit(&[("username", "alice"), ("password", PASSWORD)]);
    let first = path_of(&rig, &rig.modem().await_message(PHONE, 1));
    browser.await_element("button[value=resend]");
    browser.press("resend");
    let second = path_of(&rig, &rig.modem().await_message(PHONE, 2));
    let phone = Browser::open(&base(&rig));
    phone.go(&first);
    assert_eq!(phone.error().as_deref(), Some("verify.view.token.invalid"), "replaced by the second");
    phone.go(&second);
    phone.press("reject");
    assert!(phone.error().is_none());
    browser.await_path("/ui/failed");
    browser.await_element("a.primary");
    assert_eq!(browser.error().as_deref(), Some("link-wait.error.authentication.failed"));
    browser.click("a.primary");
    browser.await_path("/ui/login");
}

/// SMS-39: the phone is quicker than the modem's word that the message left. Red when only a challenge whose life has begun
/// can be decided: the phone is told that its link is no good.
#[test]
fn a_link_is_good_as_soon_as_the_phone_has_it() {
    let late = "[[fault]]\non = \"AT+CMGS\"\nnth = 1\ndo = \"late\"\narg = \"4s\"\n";
    let modem = ModemOptions { faults: late.to_owned(), ..ModemOptions::emulated("m1") };
    let options = RigOptions { pages: true, modems: vec![modem], ..RigOptions::with_modem() };
    let rig = Appliance::start(options.config(&format!("{LINK}{NEWCOMERS}")));
    with_phone(&rig, "alice", PHONE);
    let mut browser = Visitor::new(rig.address);
    browser.go("/ui/login").submit(&[("username", "alice"), ("password", PASSWORD)]).at("/ui/sms/wait");
    let link = path_of(&rig, &rig.modem().await_message(PHONE, 1));
    assert_eq!(rig.events(SENT).len(), 0, "the modem has said nothing yet");
    let mut phone = Visitor::new(rig.address);
    assert_eq!(phone.send("POST", &link, Some(&[("action", "approve")])).status, 200);
    browser.go("/ui/sms/wait").at("/ui/done");
    assert_eq!(phone.send("POST", &link, Some(&[("action", "approve")])).status, 404, "once");
    wait_until(PATIENCE, "the modem's word", || (rig.events(SENT).len() == 1).then_some(()));
}
