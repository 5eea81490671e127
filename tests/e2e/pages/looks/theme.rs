//! The owner's colours, name and logo, in both schemes.

use std::path::Path;
use std::process::Command;

use tests::{Appliance, RigOptions, scratch};

use super::{Judge, with_script};
use crate::{PASSWORD, site, with_phone};

const TABLES: &str = r#"
[[authenticator]]
id = "code"
type = "sms"
send_otp_as_code = true
otp_ttl = "10m"
allow_registration_during_login = false

[[flow]]
id = "login"
steps = ["password", "sms:code"]
"#;

/// A PNG of a QR code: a picture that a tool of the rig's can make.
fn picture(path: &Path) {
    let made = Command::new("qrencode").args(["-s", "4", "-o"]).arg(path).arg("Example AG").status();
    assert!(made.expect("qrencode starts").success());
}

/// "Themable by logo and colours": the darkest red and a green at the edge of what can be read, judged like every
/// page. Red when a colour is not taken over in both schemes, or the logo not shown.
#[test]
fn the_owners_colours_and_logo_are_readable() {
    let directory = scratch::directory();
    let logo = directory.path().join("logo.png");
    picture(&logo);
    for (name, accent) in [("red", "#5c0011"), ("green", "#1f7a33")] {
        let pages = format!("\n[pages]\naccent = \"{accent}\"\nlogo = {:?}\n", logo.display().to_string());
        let rig = site(&format!("{TABLES}{pages}"));
        with_phone(&rig, "alice", crate::PHONE);
        let browser = with_script(&rig);
        let mut judge = Judge::new(&browser);
        browser.go("/ui/login");
        let colour = "return getComputedStyle(document.querySelector('button.primary')).backgroundColor";
        browser.scheme("light");
        let light = browser.run(colour, Vec::new());
        browser.scheme("dark");
        assert_ne!(browser.run(colour, Vec::new()), light);
        let width = "return document.querySelector('header img').naturalWidth";
        assert!(browser.run(width, Vec::new()).as_u64().is_some_and(|width| width > 50), "the logo is shown");
        assert_eq!(browser.attribute("header img", "alt").as_deref(), Some("Countersign"));
        judge.look(&format!("theme-{name}-login"));
        browser.submit(&[("username", "alice"), ("password", "not her password")]);
        judge.look(&format!("theme-{name}-wrong"));
        browser.submit(&[("username", "alice"), ("password", PASSWORD)]);
        judge.look(&format!("theme-{name}-code"));
        judge.rule(3);
    }
}

/// A colour in which text could not be read, and what is no picture, are refused with the place in the file.
#[test]
fn an_unreadable_theme_is_refused() {
    let not_a_picture = scratch::directory();
    let logo = not_a_picture.path().join("logo.png");
    std::fs::write(&logo, "<svg xmlns='http://www.w3.org/2000/svg'/>").expect("a scratch file");
    let logo = format!("logo = {:?}", logo.display().to_string());
    for (line, told) in [("accent = \"#5aa9e6\"", "is too light"), (logo.as_str(), "is neither PNG nor JPEG")]
    {
        let options = RigOptions::default().config(&format!("[pages]\n{line}\n"));
        let rig = Appliance::prepare(options);
        let checked = rig.cli(&["config", "check", &rig.config.display().to_string()]);
        assert_eq!(checked.status.code(), Some(2));
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&checked.stdout),
            String::from_utf8_lossy(&checked.stderr)
        );
        let found = said.lines().find(|found| found.contains("pages.")).unwrap_or_default();
        assert!(found.contains(told) && found.contains("countersign.toml:"), "{said}");
    }
}
