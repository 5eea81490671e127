//! Bob registers his phone with the key of an activation letter: the whole of it, with the paper.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::json;

use super::pages;
use crate::demo::command::finish;
use crate::demo::stage::{BOBS_PHONE, Stage, text};
use crate::demo::visitor::Visitor;

/// What reads a letter here, in place of bob.
const READER: &str = "pdftotext";
/// One answer for a wrong code and a wrong key.
const WRONG_PAIR: &str = "register.error.invalid.otp-or-iak";
/// A key that is well formed and nobody's.
const NO_KEY: &str = "AAAA-BBBB-CCCC";

/// Has a letter typeset and handed over, and registers bob's phone with its key and the code that goes there.
pub(super) fn register(stage: &mut Stage<'_>) -> anyhow::Result<String> {
    if !stage.site.has_typesetter() {
        return Ok("left out: countersign-letters is not installed".to_owned());
    }
    if Command::new(READER).arg("-v").output().is_err() {
        return Ok(format!(
            "left out: {READER}, which reads the letter here, is not installed (poppler-utils)"
        ));
    }
    let password = stage.password.clone();
    let body = |password: &str| json!({"name": "bob", "password": password, "active_method": "SMS"});
    let added = stage.administer("/v1/users", &body(&password), &body("..."))?;
    ensure!(added.status == 201, "bob was not added: {}", added.text);
    let letter = stage.cli_json(&["letter", "generate", "--kind", "sms-iak", "--delivery", "hand", "bob"])?;
    let (id, path) = (text(&letter, "id")?.to_owned(), text(&letter, "path")?.to_owned());
    stage.screen.answer(&path)?;
    stage.cli(&["letter", "handover", &id])?.success()?;
    let key = key_in(stage, Path::new(&path))?;
    stage.screen.note("Bob has the letter. He logs in with his password; the page asks for his number.")?;

    let mut browser = Visitor::at(stage.port, "/ui/login")?;
    browser.submit(&[("username", "bob"), ("password", &password)])?;
    browser.expect("/ui/number")?;
    browser.submit(&[("number", "079 000 01 02")])?;
    browser.expect("/ui/number/verify")?;
    let code = pages::next_code(stage, &mut browser, BOBS_PHONE, 0)?;
    stage.screen.note(&format!("His phone shows {code}, his letter {key}: both go on one page."))?;
    for (otp, iak) in [(pages::wrong(&code), key.as_str()), (code.clone(), NO_KEY)] {
        browser.submit(&[("otp", &otp), ("iak", iak)])?;
        ensure!(browser.error() == Some(WRONG_PAIR), "a wrong pair was answered with {:?}", browser.error());
    }
    stage.screen.note("A wrong code and a wrong key are told the same.")?;
    browser.submit(&[("otp", &code), ("iak", &key)])?;
    browser.expect("/ui/done")?;
    stage.lettered = true;
    Ok(format!("{BOBS_PHONE} is bob's; the key is used up"))
}

/// The key on the letter: three groups of four.
fn key_in(stage: &Stage<'_>, pdf: &Path) -> anyhow::Result<String> {
    let read = finish(stage.stop, Command::new(READER).arg("-layout").arg(pdf).arg("-"))?.success()?;
    let is_key = |word: &&str| {
        word.len() == 14
            && word.split('-').count() == 3
            && word
                .split('-')
                .all(|group| group.len() == 4 && group.chars().all(|c| c.is_ascii_alphanumeric()))
    };
    Ok(read.split_whitespace().find(is_key).context("there is no key on the letter")?.to_owned())
}
