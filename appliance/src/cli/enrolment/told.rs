//! What is read of enrolments, and how it is told.

use std::process::ExitCode;

use serde_json::json;

use super::path;
use crate::api::wire;
use crate::cli::client::{Client, segment};
use crate::cli::output::{Failure, print, print_page, table};
use crate::cli::{EXIT_DONE, Global};
use crate::qr;

pub(super) fn list(
    global: &Global,
    client: &Client<'_>,
    given: &[(&str, Option<String>)],
) -> Result<ExitCode, Failure> {
    let pairs = given.iter().filter_map(|(key, value)| Some(format!("{key}={}", segment(value.as_deref()?))));
    let query = pairs.collect::<Vec<_>>().join("&");
    let list: wire::List<wire::Enrolment> = client.get(&format!("/v1/enrolments?{query}"))?;
    print_page(global, &list, |list| {
        let rows: Vec<[String; 6]> = list
            .items
            .iter()
            .map(|one| {
                [
                    one.id.clone(),
                    one.user.clone(),
                    one.method.clone(),
                    one.target.to_string(),
                    one.state.clone(),
                    one.created_at.clone(),
                ]
            })
            .collect();
        table(["ENROLMENT", "USER", "METHOD", "LEVEL", "STATE", "REQUESTED"], &rows)
    })
}

pub(super) fn show(global: &Global, client: &Client<'_>, id: &str) -> Result<ExitCode, Failure> {
    let found: wire::Enrolment = client.get(&path(id, ""))?;
    let steps: wire::List<wire::EnrolmentStep> = client.get(&path(id, "/activities"))?;
    let told = json!({ "enrolment": found, "activities": steps.items });
    print(global, &told, |_| {
        let rows: Vec<[String; 6]> = steps
            .items
            .iter()
            .map(|step| {
                [
                    step.nth.to_string(),
                    step.at.clone(),
                    step.event.clone(),
                    step.short_id.clone().unwrap_or_else(|| "-".to_owned()),
                    format!("{} {}", step.actor, step.role).trim_end().to_owned(),
                    step.result.clone(),
                ]
            })
            .collect();
        format!("{}\n{}", describe(&found), table(["STEP", "AT", "EVENT", "ACTIVITY", "BY", "RESULT"], &rows))
    })
}

pub(super) fn identity(global: &Global, client: &Client<'_>, id: &str) -> Result<ExitCode, Failure> {
    let found: wire::VettedIdentity = client.get(&path(id, "/identity"))?;
    print(global, &found, |found| {
        let yes = |flag: Option<bool>| flag.map(|flag| if flag { "yes" } else { "no" }.to_owned());
        lines(&[
            ("proof", found.proof.clone()),
            ("document", found.document.clone()),
            ("country", found.country.clone()),
            ("last6", found.last6.clone()),
            ("in time", yes(found.not_expired)),
            ("name", yes(found.name_match)),
            ("photo", yes(found.photo_match)),
            ("features", yes(found.security_features)),
            ("chip", yes(found.electronic_read)),
            ("liveness", found.liveness.clone()),
            ("source", found.source.clone()),
            ("vouched", found.vouched_by.clone()),
            ("vetter", found.vetter.clone()),
            ("second", found.second.clone()),
            ("at", Some(found.at.clone())),
        ])
    })
}

pub(super) fn report(global: &Global, client: &Client<'_>) -> Result<ExitCode, Failure> {
    let counts: wire::List<wire::EnrolmentCount> = client.get("/v1/enrolments/report")?;
    print(global, &counts.items, |counts| {
        let rows: Vec<[String; 4]> = counts
            .iter()
            .map(|one| {
                let loa = one.loa.clone().unwrap_or_else(|| "-".to_owned());
                [one.method.clone(), one.state.clone(), loa, one.count.to_string()]
            })
            .collect();
        table(["METHOD", "STATE", "LOA", "COUNT"], &rows)
    })?;
    Ok(ExitCode::from(EXIT_DONE))
}

pub(super) fn sent(sent: &wire::PossessionSent) -> String {
    lines(&[
        ("challenge", Some(sent.challenge.clone())),
        ("to", sent.phone_masked.clone()),
        ("select", sent.number.map(|number| number.to_string())),
    ])
}

/// What an app scans; where that is no picture, the text says it.
pub(super) fn made(made: &wire::MadeToken) -> String {
    scanned(&made.serial, &made.otpauth_uri)
}

fn scanned(serial: &str, uri: &str) -> String {
    let (code, once) = match qr::encode(uri) {
        Some(code) => (qr::text(&code), "Scan the code now: it is not shown again."),
        None => (
            String::new(),
            "The text is too long for a QR code: type its secret into the app now, it is not shown again.",
        ),
    };
    format!("{code}\nserial  {serial}\nuri     {uri}\n\n{once}\n")
}

fn lines(given: &[(&str, Option<String>)]) -> String {
    let there = given.iter().filter_map(|(name, value)| Some(format!("{name:10} {}\n", value.as_deref()?)));
    there.collect()
}

pub(super) fn describe(one: &wire::Enrolment) -> String {
    let appointment = one.appointment.as_ref().map(|at| format!("{} {}", at.starts_at, at.place));
    let phone = one.push.as_ref().map(|phone| {
        let name = phone.name.as_deref().unwrap_or_default();
        format!("{} {} {name}", phone.serial, phone.state).trim_end().to_owned()
    });
    lines(&[
        ("enrolment", Some(one.id.clone())),
        ("user", Some(one.user.clone())),
        ("method", Some(one.method.clone())),
        ("target", Some(one.target.to_string())),
        ("state", Some(one.state.clone())),
        ("reason", one.reason.clone()),
        ("factor", one.factor.clone()),
        ("token", one.token.clone()),
        ("phone", phone),
        ("number", one.phone_masked.clone()),
        ("code until", one.code_valid_until.clone()),
        ("at", appointment),
        ("vetter", one.vetter.clone()),
        ("second", one.second_vetter.clone()),
        ("loa", one.loa.map(|loa| loa.to_string())),
        ("name", one.name.clone()),
        ("requested", Some(format!("{} by {}", one.created_at, one.requested_by))),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// BIND-07: who cannot scan is told what to do.
    #[test]
    fn a_token_without_a_picture_says_so() {
        assert!(scanned("S", "otpauth://totp/a?secret=AAAA").contains("Scan the code now"));
        let long = scanned("S", &"x".repeat(8_000));
        assert!(long.contains("too long for a QR code") && !long.contains("Scan"), "{long}");
    }
}
