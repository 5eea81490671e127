//! Activation letters as their users get them: typeset by the real typesetter, read from the PDF.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::appliance::{Appliance, RigOptions};
use crate::token::letters_binary;

/// The page that letters send their users to.
pub const PUBLIC_URL: &str = "https://login.example.org";
/// Where letters go unless told otherwise.
pub const ADDRESS: &str = "Zoë Müller\nGasse 1\n3000 Bern";

/// The configuration of an appliance that can typeset letters; `tables` as in [`RigOptions::config`], and `letters`
/// are keys of `[letters]`.
pub fn options(letters: &str, tables: &str) -> RigOptions {
    let helper = Value::from(letters_binary().display().to_string());
    let head = format!("[letters]\nhelper = {helper}\nsender = \"Example AG\"\ncontact = \"Helpdesk\"\n");
    RigOptions {
        public_url: Some(PUBLIC_URL.to_owned()),
        ..RigOptions::with_modem().config(&format!("{head}{letters}\n{tables}"))
    }
}

/// Has a letter of a kind typeset for a user, by post to [`ADDRESS`], and gives it as the API shows it.
///
/// # Panics
/// When it is refused.
#[track_caller]
pub fn generate(rig: &Appliance, user: &str, kind: &str) -> Value {
    let body = json!({"user": user, "kind": kind, "address": ADDRESS, "generate": "now"});
    rig.admin().post("/v1/letters", &body).expect(201).json()
}

/// Has a letter with an activation key typeset for a user and reads the key from the PDF: `ABCD-EFGH-2345`.
///
/// # Panics
/// When it is refused, or there is no key on the page.
#[track_caller]
pub fn order_and_read_key(rig: &Appliance, user: &str) -> String {
    let letter = generate(rig, user, "sms-iak");
    key_in(Path::new(letter["path"].as_str().expect("a path")))
}

/// The text of a letter, as its reader copies it.
///
/// # Panics
/// When it is no PDF.
#[track_caller]
pub fn text_of(pdf: &Path) -> String {
    let read = Command::new("pdftotext").arg("-layout").arg(pdf).arg("-").output().expect("pdftotext starts");
    assert!(read.status.success(), "{}: {}", pdf.display(), String::from_utf8_lossy(&read.stderr));
    String::from_utf8(read.stdout).expect("UTF-8")
}

/// The activation key on a letter.
///
/// # Panics
/// When there is none.
#[track_caller]
pub fn key_in(pdf: &Path) -> String {
    let text = text_of(pdf);
    let key = text.split_whitespace().find(|word| is_key(word));
    key.unwrap_or_else(|| panic!("no key on the page:\n{text}")).to_owned()
}

fn is_key(word: &str) -> bool {
    const SYMBOLS: &str = "23456789ABCDEFGHJKLMNPQRSTVWXYZ";
    let groups: Vec<&str> = word.split('-').collect();
    groups.len() == 3
        && groups.iter().all(|group| group.len() == 4 && group.chars().all(|c| SYMBOLS.contains(c)))
}

/// What a camera reads from the QR codes of a letter.
///
/// # Panics
/// When there is none that can be read.
#[track_caller]
pub fn qr_in(pdf: &Path, scratch: &Path) -> String {
    let page = scratch.join("page");
    let drawn =
        Command::new("pdftoppm").args(["-r", "200", "-png", "-singlefile"]).arg(pdf).arg(&page).status();
    assert!(drawn.expect("pdftoppm starts").success(), "{}", pdf.display());
    let seen = Command::new("zbarimg")
        .args(["--quiet", "--raw", "-Sdisable", "-Sqrcode.enable"])
        .arg(page.with_extension("png"))
        .output()
        .expect("zbarimg starts");
    assert!(seen.status.success(), "no QR code on {}", pdf.display());
    String::from_utf8(seen.stdout).expect("UTF-8").trim().to_owned()
}
