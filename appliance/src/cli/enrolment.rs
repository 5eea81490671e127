//! `countersign enrol request|list|show|...`: the acts of an enrolment, over the daemon's socket.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;

use super::client::{Client, segment};
use super::output::{Failure, print, print_page, table};
use super::{EXIT_DONE, Global};
use crate::api::wire;
use crate::qr;

/// The acts, in the order of the process.
#[derive(Subcommand)]
pub(super) enum Act {
    /// Ask for a factor for a user.
    Request(RequestArgs),
    /// List enrolments.
    List {
        /// Only of this user.
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
        /// Only in this state, such as code_issued or vetting.
        #[arg(long, value_name = "STATE")]
        state: Option<String>,
        /// Begin after this enrolment.
        #[arg(long, value_name = "ID")]
        after: Option<String>,
    },
    /// Show an enrolment, and what was done step by step.
    Show {
        /// Its handle.
        id: String,
    },
    /// Choose the factor, and show it before the vetting where a code is given.
    Preregister {
        /// The enrolment.
        id: String,
        /// What is to be bound: sms, soft or hardware.
        #[arg(long = "type", value_name = "TYPE")]
        kind: Option<String>,
        /// Which product.
        #[arg(long)]
        product: Option<String>,
        #[command(flatten)]
        shown: ShownArgs,
    },
    /// Make a token for an app, for this enrolment; its secret is shown once.
    Token {
        /// The enrolment.
        id: String,
    },
    /// Send a code to the phone that is to be bound.
    Send {
        /// The enrolment.
        id: String,
    },
    /// Make the registration code, which is shown once.
    Code {
        /// The enrolment.
        id: String,
        /// By mail too, to the user's own address.
        #[arg(long)]
        mail: bool,
    },
    /// Take a time for the vetting, or give it back.
    Appoint {
        /// The enrolment.
        id: String,
        /// The time: see `enrol times`.
        #[arg(required_unless_present = "cancel", value_name = "TIME")]
        appointment: Option<String>,
        /// Give the time back.
        #[arg(long, conflicts_with = "appointment")]
        cancel: bool,
    },
    /// List the times that are offered, or offer one.
    Times {
        /// Offer this time, such as 2027-03-01T09:00:00Z.
        #[arg(long, value_name = "TIME", requires = "place")]
        offer: Option<String>,
        /// How long it takes.
        #[arg(long, value_name = "N", default_value_t = 30)]
        minutes: u32,
        /// Where, or the address of a video call.
        #[arg(long)]
        place: Option<String>,
        /// Only for applicants of this organisation.
        #[arg(long, value_name = "NAME")]
        organisation: Option<String>,
    },
    /// Look who the applicant is.
    #[command(subcommand)]
    Vet(Vet),
    /// Hand a token over from stock.
    Handover {
        /// The enrolment.
        id: String,
        /// Serial of the token.
        serial: String,
    },
    /// Bind factor and identity; with a code, show the factor first.
    Bind {
        /// The enrolment.
        id: String,
        #[command(flatten)]
        shown: ShownArgs,
    },
    /// Let the binding take effect, and tell the user.
    Activate {
        /// The enrolment.
        id: String,
    },
    /// Tell the user of an activation that went untold.
    Confirm {
        /// The enrolment.
        id: String,
    },
    /// Take an enrolment back before it took effect.
    Cancel {
        /// The enrolment.
        id: String,
        /// Why: a word such as not_needed.
        #[arg(default_value = "cancelled")]
        reason: String,
    },
    /// Refuse an enrolment; the user is told.
    Reject {
        /// The enrolment.
        id: String,
        /// Why: a word such as name_mismatch.
        reason: String,
        /// Words for the record.
        #[arg(long)]
        remark: Option<String>,
    },
    /// Take a binding back, and its factor with it.
    Revoke {
        /// The enrolment.
        id: String,
        /// Why: a word such as lost.
        #[arg(default_value = "revoked")]
        reason: String,
        /// The user has asked for it.
        #[arg(long)]
        by_user: bool,
    },
    /// Show what was vetted; that you read it is an event.
    Identity {
        /// The enrolment.
        id: String,
    },
    /// Erase what was vetted; enrolment and events stay. A whole person: countersign user forget.
    Forget {
        /// The enrolment.
        id: String,
    },
    /// Count enrolments by method, state and level.
    Report,
}

/// What a vetting consists of, in its order.
#[derive(Subcommand)]
pub(super) enum Vet {
    /// Begin: by the code that the applicant brings, or by the handle of what your desk has asked for itself.
    Begin {
        /// The enrolment.
        #[arg(required_unless_present = "code")]
        id: Option<String>,
        /// The registration code.
        #[arg(long)]
        code: Option<String>,
        /// Where, or over what.
        #[arg(long)]
        place: Option<String>,
    },
    /// Show the factor that the applicant has, by its code.
    Possession {
        /// The enrolment.
        id: String,
        #[command(flatten)]
        shown: ShownArgs,
    },
    /// Compare the claim with a proof. What you do not confirm ends the enrolment.
    Proof(ProofArgs),
    /// See the face alive.
    Liveness {
        /// The enrolment.
        id: String,
        /// How, such as face_to_face.
        method: String,
        /// It is not: this ends the enrolment.
        #[arg(long)]
        failed: bool,
    },
    /// Ask who issued the proof.
    Source {
        /// The enrolment.
        id: String,
        /// Who was asked.
        source: String,
        /// Under which reference.
        #[arg(long)]
        reference: Option<String>,
        /// It is lost, stolen or retired: this ends the enrolment.
        #[arg(long)]
        retired: bool,
    },
    /// Write down that the applicant is vetted.
    Record {
        /// The enrolment.
        id: String,
        /// Words for the record, at most 500 characters.
        #[arg(long)]
        remark: Option<String>,
    },
    /// Confirm another's vetting as a second person.
    Second {
        /// The enrolment.
        id: String,
    },
    /// Begin anew with another token than was shown.
    Again {
        /// The enrolment.
        id: String,
    },
    /// Vet by a code of an own token that is vetted already.
    Token {
        /// The enrolment.
        id: String,
        /// Serial of that token.
        serial: String,
        /// Its code.
        otp: String,
    },
}

/// Whose factor it will be, and how the user is vetted.
#[derive(Args)]
pub(super) struct RequestArgs {
    /// Name of the user.
    user: String,
    /// How the user is to be vetted, such as on_premise.
    #[arg(long)]
    method: String,
    /// The level that is aimed at; the lowest of the method by default.
    #[arg(long)]
    level: Option<f64>,
    /// How the request came in: federated, email, local_login or api.
    #[arg(long)]
    channel: Option<String>,
    /// Whose registration authorities may vet.
    #[arg(long, value_name = "NAME")]
    organisation: Option<String>,
    /// Name of the person.
    #[arg(long)]
    name: Option<String>,
    /// E-mail address of the person.
    #[arg(long)]
    email: Option<String>,
}

/// A code of the factor.
#[derive(Args)]
pub(super) struct ShownArgs {
    /// The code.
    otp: Option<String>,
    /// Serial of the token; the one from before, or the user's only one, by default.
    #[arg(long)]
    serial: Option<String>,
    /// For a code that was sent: what `enrol send` gave.
    #[arg(long, conflicts_with = "serial")]
    challenge: Option<String>,
}

impl ShownArgs {
    fn body(self) -> Option<wire::Possession> {
        let ShownArgs { otp, serial, challenge } = self;
        otp.map(|otp| wire::Possession { otp, serial, challenge })
    }
}

/// What the claim is compared with, and what you confirm.
#[derive(Args)]
pub(super) struct ProofArgs {
    /// The enrolment.
    id: String,
    /// What it is: id_document, eid_assertion or known_person.
    #[arg(long, default_value = "id_document")]
    kind: String,
    /// Type of the document, such as passport.
    #[arg(long)]
    document: Option<String>,
    /// Who issued it, such as CH.
    #[arg(long)]
    country: Option<String>,
    /// The last characters of its number, at most 6.
    #[arg(long)]
    last6: Option<String>,
    /// It is not expired.
    #[arg(long)]
    not_expired: bool,
    /// The name is the user's.
    #[arg(long)]
    name_match: bool,
    /// The photo is the person's.
    #[arg(long)]
    photo_match: bool,
    /// You have checked the security features.
    #[arg(long)]
    security_features: bool,
    /// You have read the chip.
    #[arg(long)]
    electronic_read: bool,
    /// Words for the record, at most 500 characters.
    #[arg(long)]
    remark: Option<String>,
}

impl ProofArgs {
    fn body(self) -> wire::VetProof {
        wire::VetProof {
            kind: self.kind,
            document: self.document,
            country: self.country,
            last6: self.last6,
            not_expired: self.not_expired,
            name_match: self.name_match,
            photo_match: self.photo_match,
            security_features: self.security_features,
            electronic_read: self.electronic_read.then_some(true),
            remark: self.remark,
        }
    }
}

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
            print(global, &made, |made| {
                let code = qr::encode(&made.otpauth_uri).map(|code| qr::text(&code)).unwrap_or_default();
                let once = "Scan the code now: it is not shown again.";
                format!("{code}\nserial  {}\nuri     {}\n\n{once}\n", made.serial, made.otpauth_uri)
            })
        }
        Act::Send { id } => {
            let sent: wire::PossessionSent = client.post(&path(&id, "/possession/send"), &json!({}))?;
            print(global, &sent, |sent| format!("challenge  {}\n", sent.challenge))
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

impl RequestArgs {
    fn body(self) -> wire::NewEnrolment {
        wire::NewEnrolment {
            user: self.user,
            method: self.method,
            level: self.level,
            factor_index: None,
            channel: self.channel,
            organisation: self.organisation,
            name: self.name,
            email: self.email,
            first_factor: None,
        }
    }
}

fn list(global: &Global, client: &Client<'_>, given: &[(&str, Option<String>)]) -> Result<ExitCode, Failure> {
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

fn show(global: &Global, client: &Client<'_>, id: &str) -> Result<ExitCode, Failure> {
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
            let place = place.unwrap_or_default();
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

fn identity(global: &Global, client: &Client<'_>, id: &str) -> Result<ExitCode, Failure> {
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

fn report(global: &Global, client: &Client<'_>) -> Result<ExitCode, Failure> {
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

fn lines(given: &[(&str, Option<String>)]) -> String {
    let there = given.iter().filter_map(|(name, value)| Some(format!("{name:10} {}\n", value.as_deref()?)));
    there.collect()
}

fn describe(one: &wire::Enrolment) -> String {
    let appointment = one.appointment.as_ref().map(|at| format!("{} {}", at.starts_at, at.place));
    lines(&[
        ("enrolment", Some(one.id.clone())),
        ("user", Some(one.user.clone())),
        ("method", Some(one.method.clone())),
        ("target", Some(one.target.to_string())),
        ("state", Some(one.state.clone())),
        ("reason", one.reason.clone()),
        ("factor", one.factor.clone()),
        ("token", one.token.clone()),
        ("code until", one.code_valid_until.clone()),
        ("at", appointment),
        ("vetter", one.vetter.clone()),
        ("second", one.second_vetter.clone()),
        ("loa", one.loa.map(|loa| loa.to_string())),
        ("name", one.name.clone()),
        ("requested", Some(format!("{} by {}", one.created_at, one.requested_by))),
    ])
}
