//! Step 2: the applications' keys; alice with a password, her phone number and her two tokens.

use anyhow::{Context, ensure};

use super::pages;
use crate::demo::authenticator::Authenticator;
use crate::demo::stage::{Alice, Keys, PHONE, Stage, text};

/// What the demo's portal may do.
const PORTAL_SCOPES: &str = "verify,challenge,users:read,events:read,enrol:request,user:assert";

/// Makes the keys and enrols alice; her phone scans both QR codes.
pub(super) fn enrol(stage: &mut Stage<'_>) -> anyhow::Result<String> {
    let admin = stage.cli_json(&["app", "add", "admin", "--scope", "admin"])?;
    let app = stage.cli_json(&["app", "add", "portal", "--scope", PORTAL_SCOPES])?;
    let keys = Keys { admin: text(&admin, "key")?.to_owned(), app: text(&app, "key")?.to_owned() };
    stage.screen.command(&format!("export APP_KEY={}", keys.app))?;
    stage.keys = Some(keys);

    pages::register(stage)?;
    let user = stage.cli_json(&["user", "show", "alice"])?;
    ensure!(user["state"] == "active", "alice is not active");
    let user = stage.cli_json(&["user", "phone", "set", "alice", PHONE, "--verified-by", "demo"])?;
    stage.screen.answer(&format!("her number is bound: {}", text(&user, "phone_masked")?))?;

    let (totp_serial, totp) = totp(stage)?;
    let hotp = stage.cli_json(&["token", "add", "--user", "alice", "--type", "hotp"])?;
    let hotp_serial = text(&hotp, "serial")?.to_owned();
    let hotp = scan(text(&hotp, "otpauth_uri")?)?;
    stage.screen.answer(&format!("serial  {hotp_serial}"))?;
    let found = format!("alice has {totp_serial} (TOTP), {hotp_serial} (HOTP) and a phone for SMS");
    stage.alice = Some(Alice { totp, totp_serial, hotp, hotp_serial });
    Ok(found)
}

/// Enrols with the command as people use it: the QR code is for their phone.
fn totp(stage: &mut Stage<'_>) -> anyhow::Result<(String, Authenticator)> {
    let shown = stage.cli(&["token", "add", "--user", "alice", "--type", "totp"])?.success()?;
    let field = |name: &str| shown.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let serial = field("serial ").context("the command shows no serial")?.to_owned();
    let uri = field("uri ").context("the command shows no URI")?.to_owned();
    let code: Vec<&str> = shown.lines().take_while(|line| !line.starts_with("serial")).collect();
    ensure!(code.len() > 20, "the command shows no QR code");
    stage.screen.answer(&code.join("\n"))?;
    stage.screen.answer(&format!("serial  {serial}"))?;
    stage
        .screen
        .note("Scan it with an authenticator app if you like: its codes work while the demo stays.")?;
    Ok((serial, scan(&uri)?))
}

fn scan(uri: &str) -> anyhow::Result<Authenticator> {
    Authenticator::scan(uri).context("no authenticator app would take this URI")
}
