//! The pages of applicants and of the registration desk in the other languages: read whole and narrow, where words do not
//! fit first; in German, whose words are longest, also wide and dark.

use tests::browser::{Browser, BrowserOptions, NARROW, WIDE};
use tests::token::EmulatedToken;

use super::{base, seen_from};
use crate::enrol::{
    ALICE, ANN, BOB, applicant, ask, authority, code, desk, go_in, schedule, show_token, vet,
};
use crate::methods::{METHODS, by_own_token, by_video, in_bulk};
use crate::with_phone;

/// How the keys of texts begin: one that is seen has no text.
const KEYS: [&str; 6] = ["enrol-", "desk-", "ui-", "field-", "portal-", "page-"];

/// What is wrong with a page in a language.
fn judged(browser: &Browser, name: &str, lang: &str) -> Vec<String> {
    let named = format!("{name}-{lang}");
    let mut findings = if lang == "de" {
        let sides = [(NARROW, "light"), (WIDE, "dark")];
        sides.map(|side| seen_from(browser, &named, side, Browser::axe)).concat()
    } else {
        // The colours are those that were judged in German: what changes is the words.
        seen_from(browser, &named, (NARROW, "light"), Browser::axe_but_colours)
    };
    if browser.attribute("html", "lang").as_deref() != Some(lang) {
        findings.push(format!("{name}: is not in {lang}"));
    }
    let text = browser.text("body");
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    findings.extend(
        words
            .filter(|word| KEYS.iter().any(|key| word.starts_with(key)))
            .map(|word| format!("{name} {lang}: {word} has no text")),
    );
    findings
}

/// Every page of applicants and of the desk, as somebody with this language meets it.
fn all_pages(lang: &str) {
    // Alice gets two tokens here.
    let Some(desk) = desk(&format!("{METHODS}[oath]\nquota_hard = 2\n")) else { return };
    let rig = desk.rig();
    let mut of_ann = authority(&desk, "ann", ANN, "CST-000001", 0);
    let mut of_bob = authority(&desk, "bob", BOB, "CST-000004", ANN);
    with_phone(rig, "alice", ALICE);
    rig.cli_json(&["user", "lang", "alice", lang]);
    rig.user("carol");
    let stocked = |serial: &str| desk.stocked(serial);
    let [mut first, mut second]: [EmulatedToken; 2] = ["CST-000002", "CST-000003"].map(stocked);
    let _third = desk.stocked("CST-000005");
    let open =
        || Browser::with(&base(rig), BrowserOptions { script: true, lang, ..BrowserOptions::default() });
    let (alice, ann, bob) = (open(), open(), open());
    let (mut findings, mut seen) = (Vec::new(), 0);
    let mut see = |browser: &Browser, name: &str| {
        findings.extend(judged(browser, name, lang));
        seen += 1;
    };
    applicant(rig, &alice, 1);
    see(&alice, "portal-with-enrolments");
    ann.go("/desk/login");
    see(&ann, "desk-login");
    go_in(&ann, "ann", &mut of_ann);
    see(&ann, "desk-list-empty");
    go_in(&bob, "bob", &mut of_bob);
    let id = ask(&alice, "on_premise:3", &mut see);
    show_token(&alice, "CST-000002", &mut first, &mut see);
    let registration = code(&alice, &mut see);
    see(&alice, "enrol-code-issued");
    ann.go("/desk");
    see(&ann, "desk-list");
    ann.go("/desk/request");
    see(&ann, "desk-request");
    schedule(&ann, &alice, &mut see);
    see(&alice, "enrol-scheduled");
    ann.go(&format!("/desk/vet/{id}"));
    see(&ann, "desk-wait");
    ann.go(&format!("/desk/vet/{id}/reject"));
    see(&ann, "desk-reject");
    vet(&ann, &registration, "CST-000002", &mut first, &mut see);
    see(&ann, "desk-receipt");
    alice.go("/ui/enrol");
    see(&alice, "enrol-active");

    let _app = by_own_token(&alice, ("CST-000002", &mut first), &mut see);
    in_bulk(&ann, "CST-000005", &mut see);
    let mut other = |browser: &Browser, name: &str| {
        if ["desk-liveness", "desk-source", "desk-await-second", "desk-second"].contains(&name) {
            see(browser, name);
        }
    };
    by_video(&alice, (&ann, &bob), ("CST-000003", &mut second), &mut other);
    assert!(findings.is_empty(), "{}", findings.join("\n"));
    assert!(seen >= 35, "only {seen} pages were looked at");
}

/// SMS-42, BIND-02, BIND-07, BIND-11, BIND-34, BIND-36, WCAG 2.1 A and AA. Red when a text is missing, when one does not fit, or as
/// in `logins`.
#[test]
fn desks_speak_german() {
    all_pages("de");
}

/// The same.
#[test]
fn desks_speak_french() {
    all_pages("fr");
}

/// The same.
#[test]
fn desks_speak_italian() {
    all_pages("it");
}
