//! The steps in order, and what is said about each.

use std::path::PathBuf;
use std::time::Instant;

use serde::Serialize;

use super::stage::Stage;
use super::stop::Stopped;

mod audit;
mod codes;
pub(in crate::demo) mod desk;
mod enrol;
mod hsm;
mod letter;
mod pages;
pub(in crate::demo) mod phone;
mod sms;

type Step = fn(&mut Stage<'_>) -> anyhow::Result<String>;

const STEPS: [(&str, Step); 18] = [
    ("The HSM makes its keys, and nobody can read them", hsm::initialise),
    ("An application gets a key, alice registers and gets her tokens", enrol::enrol),
    ("Her phone's TOTP code is accepted", codes::totp_accepted),
    ("The same code a second time is refused", codes::totp_replayed),
    ("A HOTP code is accepted after two were pressed and not used", codes::hotp_ahead),
    ("A wrong code is refused", codes::wrong_refused),
    ("A code goes out by SMS", sms::ordered),
    ("The SMS code is accepted once", sms::verified),
    ("Alice logs in on the pages", pages::log_in),
    ("She logs in by a link to her phone", pages::log_in_by_link),
    ("Carol enrols an authenticator app", pages::enrol_app),
    ("Bob registers his phone with a letter", letter::register),
    ("Dora registers her phone by one QR code, for pushes and for codes", phone::register),
    ("A push is approved by the number that the login shows; the phone's code is accepted too", phone::ask),
    ("Her phone is lost: a recovery code is good once", phone::recover),
    ("Emma asks for a hardware token and gets a registration code", desk::request),
    ("At the desk she is vetted, handed the token, and bound to it at level 3", desk::vet),
    ("The audit shows it all, in order", audit::in_order),
];

/// What came of the steps.
#[derive(Serialize)]
pub(super) struct Report {
    pub(super) state: PathBuf,
    pub(super) held: bool,
    pub(super) seconds: f64,
    pub(super) steps: Vec<StepReport>,
}

#[derive(Serialize)]
pub(super) struct StepReport {
    step: usize,
    title: &'static str,
    held: bool,
    /// What was found, or why the step does not hold.
    detail: String,
}

/// Runs every step that can run, and says which was the first that did not hold.
///
/// # Errors
/// [`Stopped`], and a terminal that has gone.
pub(super) fn run(stage: &mut Stage<'_>, began: Instant) -> anyhow::Result<Report> {
    let mut steps = Vec::with_capacity(STEPS.len());
    for (n, (title, step)) in STEPS.into_iter().enumerate().map(|(n, step)| (n + 1, step)) {
        stage.screen.heading(&n.to_string(), title)?;
        let (held, detail) = match step(stage) {
            Ok(found) => {
                stage.screen.held(&found)?;
                (true, found)
            }
            Err(error) if error.is::<Stopped>() => return Err(error),
            Err(error) => {
                let why = format!("{error:#}");
                stage.screen.failed(&why)?;
                (false, why)
            }
        };
        steps.push(StepReport { step: n, title, held, detail });
    }
    let seconds = began.elapsed().as_secs_f64();
    stage.screen.say("\n")?;
    let held = match steps.iter().find(|step| !step.held) {
        None => {
            stage.screen.held(&format!("all {} steps held, in {seconds:.1} s", steps.len()))?;
            true
        }
        Some(first) => {
            let text = format!("the first step that did not hold is {}: {}", first.step, first.title);
            stage.screen.failed(&text)?;
            false
        }
    };
    Ok(Report { state: stage.site.dir().to_owned(), held, seconds, steps })
}
