//! `countersign enrol request|list|show|...`: the acts of an enrolment, over the daemon's socket.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::json;

use super::Global;
use super::client::{Client, segment};
use super::output::{Failure, print, table};
use super::push::WAIT_S;
use crate::api::wire;

mod acts;
mod told;

pub(super) use self::acts::Act;
use self::acts::{PhoneKind, Vet};
use self::told::{describe, identity, list, report, show};

fn path(id: &str, act: &str) -> String {
    format!("/v1/enrolments/{}{act}", segment(id))
}

pub(super) fn run(global: &Global, act: Act) -> Result<ExitCode, Failure> {
    let client = Client::new(global)?;
    let done = |answer: wire::Enrolment| print(global, &answer, describe);
    match act {
        Act::Request(args) => done(client.post("/v1/enrolments", &args.body())?),
        Act::List { user, state, after } => {
            list(global, &client, &[("user", user), ("state", state), ("after", after)])
        }
        Act::Show { id } => show(global, &client, &id),
        Act::Preregister { id, kind, product, shown } => {
            preregister(global, &client, &id, kind, product, shown.body())
        }
        Act::Token { id } => {
            let made: wire::MadeToken = client.post(&path(&id, "/token"), &json!({}))?;
            print(global, &made, told::made)
        }
        Act::Phone { id, kind, locale, no_wait } => register(global, &client, &id, (kind, locale), no_wait),
        Act::Send { id, number } => {
            let order = wire::PossessionOrder { number };
            let sent: wire::PossessionSent = client.post(&path(&id, "/possession/send"), &order)?;
            print(global, &sent, told::sent)
        }
        Act::Code { id, mail } => {
            let made: wire::RegistrationCode = client.post(&path(&id, "/code"), &wire::CodeOrder { mail })?;
            print(global, &made, |made| {
                let until = made.valid_until.as_deref().unwrap_or("-");
                format!("code   {}\nuntil  {until}\n", made.code)
            })
        }
        Act::Appoint { id, appointment: Some(appointment), cancel: false } => {
            done(client.post(&path(&id, "/appointment"), &wire::Booking { appointment })?)
        }
        Act::Appoint { id, .. } => done(client.remove(&path(&id, "/appointment"))?),
        Act::Times { offer, minutes, place, organisation } => {
            times(global, &client, offer, minutes, place, organisation)
        }
        Act::Vet(act) => vet(global, &client, act),
        Act::Handover { id, serial } => {
            done(client.post(&path(&id, "/handover"), &wire::TokenHandOver { serial })?)
        }
        Act::Bind { id, shown } => {
            if let Some(body) = shown.body() {
                client.post_nothing(&path(&id, "/possession"), &body)?;
            }
            done(client.post(&path(&id, "/bind"), &json!({}))?)
        }
        Act::Activate { id } => done(client.post(&path(&id, "/activate"), &json!({}))?),
        Act::Confirm { id } => done(client.post(&path(&id, "/confirm"), &json!({}))?),
        Act::Cancel { id, reason } => {
            done(client.post(&path(&id, "/cancel"), &wire::EnrolmentEnd { reason, remark: None })?)
        }
        Act::Reject { id, reason, remark } => {
            done(client.post(&path(&id, "/reject"), &wire::EnrolmentEnd { reason, remark })?)
        }
        Act::Revoke { id, reason, by_user } => {
            let body = wire::Revocation { reason: Some(reason), by_user };
            done(client.post(&path(&id, "/revoke"), &body)?)
        }
        Act::Identity { id } => identity(global, &client, &id),
        Act::Forget { id } => {
            client.delete(&path(&id, "/identity"))?;
            print(global, &json!({ "enrolment": id, "identity": null }), |_| "erased\n".to_owned())
        }
        Act::Report => report(global, &client),
    }
}

fn preregister(
    global: &Global,
    client: &Client<'_>,
    id: &str,
    kind: Option<String>,
    product: Option<String>,
    shown: Option<wire::Possession>,
) -> Result<ExitCode, Failure> {
    let mut last: Option<wire::Enrolment> = None;
    if let Some(kind) = kind {
        last = Some(client.post(&path(id, "/factor"), &wire::FactorChoice { kind, product })?);
    }
    if let Some(body) = shown {
        last = Some(client.post(&path(id, "/possession"), &body)?);
    }
    let last = last.ok_or_else(|| Failure::usage("give --type, a code, or both"))?;
    print(global, &last, describe)
}

fn times(
    global: &Global,
    client: &Client<'_>,
    offer: Option<String>,
    minutes: u32,
    place: Option<String>,
    organisation: Option<String>,
) -> Result<ExitCode, Failure> {
    let list = match offer {
        Some(starts_at) => {
            let place = place.ok_or_else(|| Failure::usage("say where: --place"))?;
            let new = wire::NewAppointment { starts_at, minutes, place, organisation };
            let made: wire::Appointment = client.post("/v1/appointments", &new)?;
            wire::List { items: vec![made], next: None }
        }
        None => client.get("/v1/appointments")?,
    };
    print(global, &list, |list: &wire::List<wire::Appointment>| {
        let rows: Vec<[String; 5]> = list
            .items
            .iter()
            .map(|one| {
                [
                    one.id.clone(),
                    one.starts_at.clone(),
                    one.minutes.to_string(),
                    one.place.clone(),
                    one.enrolment.clone().unwrap_or_else(|| "-".to_owned()),
                ]
            })
            .collect();
        table(["TIME", "STARTS", "MINUTES", "PLACE", "ENROLMENT"], &rows)
    })
}

/// How long a phone is waited for: longer than a registration lives by default.
const WAIT: Duration = Duration::from_secs(300);

fn register(
    global: &Global,
    client: &Client<'_>,
    id: &str,
    (kind, locale): (Option<PhoneKind>, Option<String>),
    no_wait: bool,
) -> Result<ExitCode, Failure> {
    let kind = kind.map(|kind| match kind {
        PhoneKind::Combined => "combined".to_owned(),
        PhoneKind::Push => "push".to_owned(),
    });
    let new = wire::EnrolmentPhone { kind, locale };
    let made: wire::RegisteringPhone = client.post(&path(id, "/phone"), &new)?;
    let begun = &made.registration;
    if no_wait {
        return print(global, &made, |made| {
            format!("{}\n{}\n", made.registration.qr_text, made.registration.uri.as_str())
        });
    }
    eprintln!("{}\nScan the code with the authenticator app; waiting for the phone.", begun.qr_text);
    let until = Instant::now() + WAIT;
    while Instant::now() < until {
        let found: wire::Enrolment = client.get(&path(id, &format!("?wait={WAIT_S}")))?;
        if found.push.is_some() {
            return print(global, &found, describe);
        }
        if let Some(reason) = &found.reason {
            return Err(Failure::refused(format!("the enrolment is {}: {reason}", found.state)));
        }
    }
    Err(Failure::refused("no phone has answered: begin again"))
}

fn vet(global: &Global, client: &Client<'_>, act: Vet) -> Result<ExitCode, Failure> {
    let answer: wire::Enrolment = match act {
        Vet::Begin { id, code, place } => {
            let path = id.map_or_else(|| "/v1/enrolments/vet".to_owned(), |id| path(&id, "/vet"));
            client.post(&path, &wire::VettingStart { code, place })?
        }
        Vet::Possession { id, shown } => {
            let body = shown.body().ok_or_else(|| Failure::usage("give the code of the factor"))?;
            client.post(&path(&id, "/possession"), &body)?
        }
        Vet::Proof(args) => {
            let path = path(&args.id, "/vet/proof");
            client.post(&path, &args.body())?
        }
        Vet::Liveness { id, method, failed } => {
            client.post(&path(&id, "/vet/liveness"), &wire::VetLiveness { method, passed: !failed })?
        }
        Vet::Source { id, source, reference, retired } => {
            let body = wire::VetSource { source, reference, valid: !retired };
            client.post(&path(&id, "/vet/source"), &body)?
        }
        Vet::Record { id, remark } => client.post(&path(&id, "/vet/record"), &wire::Remark { remark })?,
        Vet::Second { id } => client.post(&path(&id, "/vet/second"), &json!({}))?,
        Vet::Again { id } => client.post(&path(&id, "/vet/again"), &json!({}))?,
        Vet::Token { id, serial, otp } => {
            client.post(&path(&id, "/vet/token"), &wire::VetToken { serial, otp })?
        }
    };
    print(global, &answer, describe)
}
