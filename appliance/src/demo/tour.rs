//! What to try while the demo stays: lines to paste into another terminal.

use std::io;

use super::record::Record;
use super::stage::Stage;

/// Prints the lines.
///
/// # Errors
/// When nobody reads them any more.
pub(super) fn show(stage: &mut Stage<'_>, record: &Record) -> io::Result<()> {
    let program = std::env::current_exe()?;
    let cli = format!("{} --socket {}", program.display(), record.socket.display());
    let requests = [
        "curl -s $API/healthz".to_owned(),
        "curl -s -H \"$AUTH\" $API/v1/verify -d '{\"user\":\"alice\",\"otp\":\"CODE\"}'".to_owned(),
        "curl -s -H \"$AUTH\" $API/v1/challenges -d '{\"user\":\"alice\",\"channel\":\"sms\"}'".to_owned(),
        "curl -s -H \"$AUTH\" $API/v1/challenges/ID/verify -d '{\"otp\":\"CODE\"}'".to_owned(),
        "curl -s -H \"$AUTH\" \"$API/v1/events?after=0\"".to_owned(),
    ];
    let commands = [
        format!("tail -n 1 {}", record.modem_journal.display()),
        format!("{cli} user show alice"),
        format!("{cli} verify --user alice CODE"),
        format!("{cli} events --follow"),
        format!("{cli} enrol list"),
        format!("{cli} user add zoe"),
        format!("{cli} push register zoe"),
        format!("{cli} push ask zoe"),
    ];
    let phone = [
        format!("{} device simulate --state phone.json --personality ping-new --uri -", program.display()),
        format!("{} device simulate --state phone.json --answer NUMBER", program.display()),
    ];
    let login = format!("{}/ui/login", record.ui);
    let register = format!("{}/ui/register", record.ui);
    let all = stage.site.dir().join("demo.json");
    let screen = &mut *stage.screen;
    screen.heading("→", "Try it in a browser")?;
    screen.copyable(&login)?;
    screen.copyable(&register)?;
    screen.note(&format!("Log in as alice with the password {}", record.users.alice.password))?;
    screen.note("Codes and links that go to her phone are the last line of the modem's journal:")?;
    screen.copyable(&commands[0])?;
    screen.heading("→", "Try it from another terminal")?;
    screen.note("CODE is what your authenticator app shows, or what the SMS says; ID is the challenge's.")?;
    screen.say("\n")?;
    screen.copyable(&format!("API={}", record.api))?;
    screen.copyable(&format!("AUTH='Authorization: Bearer {}'", record.app_key))?;
    requests.iter().try_for_each(|line| screen.copyable(line))?;
    screen.say("\n")?;
    commands.iter().try_for_each(|line| screen.copyable(line))?;
    screen.say("\n")?;
    screen.note("A phone for the last two: it takes the text below the QR code, and taps the number that the login shows.")?;
    phone.iter().try_for_each(|line| screen.copyable(line))?;
    screen.say("\n")?;
    screen.note(&format!("Keys, secrets and paths for programs: {}", all.display()))?;
    screen.note("Ctrl-C ends the demo and everything it has started.")
}
