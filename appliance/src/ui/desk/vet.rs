//! The way of a vetting at the desk, one page for each step. Which step it is, is read from the enrolment alone: a form
//! for another one is refused, and is an event (BIND-34 to BIND-36).

use axum::response::{IntoResponse, Redirect, Response};
use domain::enrol::{Factor, Method, PRODUCT_MAX, Product, ProofKind, Refusal, State};
use domain::names::Serial;
use domain::token::Id;

use super::list::told;
use super::way::{At, Step};
use super::{Here, pages};
use crate::flows::desk;
use crate::flows::enrol::{self, Beginning, Document, Proof, View};
use crate::flows::{FlowError, handle};
use crate::ui::enrol::{code_sheet, factors};
use crate::ui::page::Page;
use crate::ui::possession::{Sent, is_to_send, offers, scan, show_fields, shown_by};
use crate::ui::sheet::{Choice, Field, Given, Other, Sheet, Stage};

/// Longest words of who does a step, in characters (BIND-41).
const REMARK_MAX: usize = 500;
/// Characters of a document's number that are asked for (D-48).
const LAST_MAX: usize = 6;
/// Documents that are looked at.
const DOCUMENTS: [&str; 4] = ["passport", "id_card", "residence_permit", "driving_licence"];
/// How a face is seen alive.
const LIVENESS: [&str; 2] = ["live_video", "face_to_face"];
/// Why a registration authority refuses.
const REASONS: [&str; 5] =
    ["identity_doubtful", "possession_failed", "applicant_absent", "not_entitled", "other"];

pages! {
    /// Who comes with a code.
    by_code => begin;
    /// The step that is next.
    step => next;
    /// The end by a refusal.
    reject => refuse;
}

fn path(id: &Id) -> String {
    format!("/desk/vet/{}", handle(id))
}

fn to_step(id: &Id) -> Response {
    Redirect::to(&path(id)).into_response()
}

fn begin_form(here: &Here<'_>) -> Sheet {
    let sheet = here.sheet("desk-vet", "desk-vet-intro");
    let page = &sheet.page;
    let fields = vec![
        Field::line(page, "code", "desk-field-code").hinted(page, "desk-field-code-hint").at_most(16),
        Field::line(page, "place", "enrol-field-place").optional(),
    ];
    sheet.form("/desk/vet", fields, "desk-vet-go")
}

/// The registration code restores what was asked for.
fn begin(here: &Here<'_>, _: Option<&Id>, given: &Given, posted: bool) -> Result<Response, FlowError> {
    if !posted {
        return Ok(begin_form(here).answer());
    }
    let beginning = Beginning {
        enrolment: None,
        code: Some(given.text("code")),
        place: given.of("place").map(str::to_owned),
        shown: Some(here.clerk.level),
    };
    match enrol::begin(here.app, &here.clerk.caller, &beginning) {
        Ok(view) => Ok(to_step(&view.row.order.id)),
        Err(error) => {
            let key = here.refused(error, "code", None)?;
            Ok(begin_form(here).wrong(key, Some("code"), given).answer())
        }
    }
}

fn next(here: &Here<'_>, id: Option<&Id>, given: &Given, posted: bool) -> Result<Response, FlowError> {
    let view = here.meant(id)?;
    let id = view.row.order.id;
    let column = here.app.config.enrol.policy.column(view.row.order.method, view.row.order.target);
    let Some(column) = column else {
        let text = "the policy has no such column any more";
        return Err(FlowError::Conflict(text.to_owned()));
    };
    let at = At { order: &view.row.order, progress: &view.row.progress, column };
    let step = at.next(&here.clerk.person);
    let shown = |sheet: Sheet| {
        let stage = |(name, class): (&str, &'static str)| Stage {
            label: sheet.page.text(&format!("desk-stage-{name}")),
            class,
        };
        let stages = at.stages(step).into_iter().map(stage).collect();
        Sheet { stages, ..sheet }
    };
    if !posted {
        return Ok(shown(form(here, &view, step, None)).answer());
    }
    if let Some(anew) = given.of("action").filter(|action| *action == "again") {
        return match enrol::again(here.app, &here.clerk.caller, &id) {
            Ok(_) => Ok(to_step(&id)),
            Err(error) => {
                let key = here.refused(error, anew, Some(&id))?;
                Ok(shown(form(here, &view, step, None)).wrong(key, None, given).answer())
            }
        };
    }
    if given.of("action") == Some("register") && step == Step::Possession {
        return match scan(here.app, &here.clerk.caller, &view, None) {
            Ok(scan) => {
                let sheet = Sheet { scan: Some(scan), ..form(here, &view, step, None) };
                Ok(shown(Sheet { intro: sheet.page.text("enrol-register-intro"), ..sheet }).answer())
            }
            Err(error) => {
                let key = here.refused(error, "register", Some(&id))?;
                Ok(shown(form(here, &view, step, None)).wrong(key, None, given).answer())
            }
        };
    }
    if given.of("step") != Some(step.name()) {
        desk::refused(here.app, &here.clerk, "wrong_step", &given.text("step"), Some(&id))?;
        return Ok(to_step(&id));
    }
    if here.clerk.level < view.row.order.target {
        let refusal = Refusal::VetterTooLow.code();
        desk::refused(here.app, &here.clerk, refusal, step.name(), Some(&id))?;
        return Ok(shown(form(here, &view, step, None)).wrong(refusal, None, given).answer());
    }
    match done(here, &view, step, given) {
        Ok(Done::Step) => Ok(to_step(&id)),
        Ok(Done::Sheet(sheet)) => Ok(shown(*sheet).answer()),
        Err(error) => {
            let sent = Sent::before(here.app, &here.clerk.caller, (&view, given), &error)?;
            let key = here.refused(error, step.name(), Some(&id))?;
            let view = here.meant(Some(&id))?;
            // A wrong code too many, or a level that is too low, has ended it.
            let step = if view.row.progress.state == State::Rejected { Step::Ended } else { step };
            Ok(shown(form(here, &view, step, sent)).wrong(key, None, given).answer())
        }
    }
}

/// What follows an act.
enum Done {
    /// The next step.
    Step,
    /// A page that is shown once.
    Sheet(Box<Sheet>),
}

fn unfit(what: &str) -> FlowError {
    FlowError::Invalid(format!("{what}: is missing, or is not what it should be"))
}

fn done(here: &Here<'_>, view: &View, step: Step, given: &Given) -> Result<Done, FlowError> {
    let (app, caller, id) = (here.app, &here.clerk.caller, view.row.order.id);
    let decided = |name: &str| given.decided(name).ok_or_else(|| unfit(name));
    match step {
        Step::Arrange => {
            let issued = enrol::issue(app, caller, &id, given.decided("mail") == Some(true))?;
            let sheet = code_sheet(here.sheet("enrol-code-title", "enrol-code-shown"), issued);
            return Ok(Done::Sheet(Box::new(sheet.link("/desk/vet", "desk-vet", "second"))));
        }
        Step::Begin => {
            let place = given.of("place").map(str::to_owned);
            let shown = Some(here.clerk.level);
            enrol::begin(app, caller, &Beginning { enrolment: Some(id), code: None, place, shown })?;
        }
        Step::Factor => {
            let factor = given.of("type").and_then(Factor::from_name).ok_or_else(|| unfit("type"))?;
            let product = given.of("product").map(Product::parse).transpose();
            let product = product.map_err(|_| unfit("product"))?;
            enrol::select(app, caller, &id, factor, product.as_ref())?;
        }
        Step::Possession => return possession(here, view, given),
        Step::Proof => {
            enrol::proof(app, caller, &id, read_proof(view, given)?)?;
        }
        Step::Liveness => {
            let method =
                given.of("method").filter(|one| LIVENESS.contains(one)).ok_or_else(|| unfit("method"))?;
            enrol::liveness(app, caller, &id, method, decided("passed")?)?;
        }
        Step::Source => {
            let source = given.of("source").ok_or_else(|| unfit("source"))?;
            enrol::source(app, caller, &id, source, given.of("reference"), decided("valid")?)?;
        }
        Step::Record => {
            enrol::record(app, caller, &id, remark(given))?;
        }
        Step::HandOver => {
            let serial = Serial::parse(&given.text("serial").to_ascii_uppercase());
            let serial = serial.map_err(|_| FlowError::NotFound("token"))?;
            enrol::hand_over(app, caller, &id, &serial)?;
        }
        Step::Bind => {
            enrol::bind(app, caller, &id)?;
        }
        Step::Second => {
            enrol::second(app, caller, &id)?;
        }
        Step::Activate => {
            enrol::activate(app, caller, &id)?;
        }
        Step::Confirm => {
            enrol::confirm(app, caller, &id)?;
        }
        Step::Remote | Step::Wait | Step::Foreign | Step::AwaitSecond | Step::Done | Step::Ended => {}
    }
    Ok(Done::Step)
}

fn possession(here: &Here<'_>, view: &View, given: &Given) -> Result<Done, FlowError> {
    let (app, caller, id) = (here.app, &here.clerk.caller, view.row.order.id);
    if is_to_send(view, given) {
        let sent = Sent::now(app, caller, &Page::new(app, &here.lang), (view, given))?;
        let sheet = form(here, view, Step::Possession, Some(sent));
        return Ok(Done::Sheet(Box::new(sheet)));
    }
    enrol::show_factor(app, caller, &id, &shown_by(view, given)?)?;
    Ok(Done::Step)
}

/// The words of who does a step, on one line.
fn remark(given: &Given) -> Option<String> {
    given.of("remark").map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// What the form says of a document. A question that was not answered is no answer of no: that would end it.
fn read_proof(view: &View, given: &Given) -> Result<Proof, FlowError> {
    let decided = |name: &str| given.decided(name).ok_or_else(|| unfit(name));
    decided("compared")?;
    let name_match = decided("name_match")?;
    if view.row.order.method == Method::BulkIssue {
        return Ok(Proof {
            kind: ProofKind::KnownPerson,
            document: None,
            not_expired: true,
            name_match,
            photo_match: true,
            security_features: false,
            electronic_read: None,
            remark: remark(given),
        });
    }
    let kind = given.of("document").filter(|one| DOCUMENTS.contains(one)).ok_or_else(|| unfit("document"))?;
    Ok(Proof {
        kind: ProofKind::IdDocument,
        document: Some(Document {
            kind: kind.to_owned(),
            country: given.text("country").to_ascii_uppercase(),
            last6: given.text("last6").to_ascii_uppercase(),
        }),
        not_expired: decided("not_expired")?,
        name_match,
        photo_match: decided("photo_match")?,
        security_features: decided("security_features")?,
        electronic_read: given.decided("electronic_read"),
        remark: remark(given),
    })
}

fn named(page: &Page, family: &str, names: &[&str]) -> Vec<Choice> {
    let choice = |name: &&str| Choice {
        value: (*name).to_owned(),
        label: page.text(&format!("desk-{family}-{}", name.replace('_', "-"))),
    };
    names.iter().map(choice).collect()
}

fn proof_fields(page: &Page, view: &View) -> Vec<Field> {
    let mut fields = Vec::new();
    let documents = view.row.order.method != Method::BulkIssue;
    if documents {
        fields.extend([
            Field::pick(page, "document", "desk-field-document", named(page, "document", &DOCUMENTS)),
            Field::line(page, "country", "desk-field-country")
                .hinted(page, "desk-field-country-hint")
                .at_most(3),
            Field::line(page, "last6", "desk-field-last6")
                .hinted(page, "desk-field-last6-hint")
                .at_most(LAST_MAX),
            Field::ask(page, "not_expired", "desk-ask-not-expired"),
        ]);
    }
    fields.push(Field::ask(page, "name_match", "desk-ask-name"));
    if documents {
        fields.extend([
            Field::ask(page, "photo_match", "desk-ask-photo"),
            Field::ask(page, "security_features", "desk-ask-features").hinted(page, "desk-ask-features-hint"),
            Field::ask(page, "electronic_read", "desk-ask-electronic").optional(),
        ]);
    }
    fields.push(Field::area(page, "remark", "desk-field-remark", REMARK_MAX));
    fields.push(Field::check(page, "compared", "desk-field-compared"));
    fields
}

/// The fields of a step and the label of its button; none where there is nothing to do.
fn fields(
    here: &Here<'_>,
    page: &Page,
    view: &View,
    step: Step,
    sent: bool,
) -> Option<(Vec<Field>, &'static str)> {
    let place = || Field::line(page, "place", "enrol-field-place").optional();
    Some(match step {
        Step::Arrange => (vec![Field::check(page, "mail", "enrol-field-mail").optional()], "enrol-go-code"),
        Step::Begin => (vec![place()], "desk-begin-go"),
        Step::Factor => {
            let column = here.app.config.enrol.policy.column(view.row.order.method, view.row.order.target);
            let choice = |factor: Factor| Choice {
                value: factor.name().to_owned(),
                label: page.text(&format!("enrol-factor-{}", factor.name())),
            };
            let factors = column.map(|column| factors(here.app, column).map(choice).collect());
            let product = Field::line(page, "product", "enrol-field-product").at_most(PRODUCT_MAX).optional();
            (
                vec![Field::pick(page, "type", "enrol-fact-factor", factors.unwrap_or_default()), product],
                "ui-continue",
            )
        }
        Step::Possession => show_fields(page, view, true, sent),
        Step::Proof => (proof_fields(page, view), "desk-proof-go"),
        Step::Liveness => {
            let method =
                Field::pick(page, "method", "desk-field-liveness", named(page, "liveness", &LIVENESS));
            (vec![method, Field::ask(page, "passed", "desk-ask-alive")], "ui-continue")
        }
        Step::Source => {
            let source =
                Field::line(page, "source", "desk-field-source").hinted(page, "desk-field-source-hint");
            let reference = Field::line(page, "reference", "desk-field-reference").at_most(64).optional();
            (vec![source.at_most(64), reference, Field::ask(page, "valid", "desk-ask-valid")], "ui-continue")
        }
        Step::Record => {
            (vec![Field::area(page, "remark", "desk-field-remark", REMARK_MAX)], "desk-record-go")
        }
        Step::HandOver => {
            let serial =
                Field::line(page, "serial", "enrol-field-serial").hinted(page, "enrol-field-serial-hint");
            (vec![serial], "desk-hand-over-go")
        }
        Step::Bind => (Vec::new(), "desk-bind-go"),
        Step::Second => (Vec::new(), "desk-second-go"),
        Step::Activate => (Vec::new(), "desk-activate-go"),
        Step::Confirm => (Vec::new(), "desk-confirm-go"),
        Step::Remote | Step::Wait | Step::Foreign | Step::AwaitSecond | Step::Done | Step::Ended => {
            return None;
        }
    })
}

fn form(here: &Here<'_>, view: &View, step: Step, sent: Option<Sent>) -> Sheet {
    let (title, intro) = (format!("desk-{}-title", step.name()), format!("desk-{}-intro", step.name()));
    let known = step == Step::Proof && view.row.order.method == Method::BulkIssue;
    let mut sheet = here.sheet(&title, if known { "desk-proof-known-intro" } else { &intro });
    let id = view.row.order.id;
    sheet.facts = told(&sheet.page, view);
    sheet.action = Some(path(&id));
    sheet.step = step.name();
    if let Some((fields, go)) = fields(here, &sheet.page, view, step, sent.is_some()) {
        sheet = sheet.form(path(&id), fields, go);
    }
    if let Some(sent) = sent {
        sent.onto(&mut sheet);
    }
    if step == Step::Possession {
        sheet.others.extend(offers(view));
    }
    if matches!(step, Step::Possession | Step::HandOver) {
        sheet.others.push(Other { action: "again", label: "desk-again", class: "" });
    }
    if step == Step::Wait {
        sheet = sheet.link("/desk/vet", "desk-vet", "primary");
    }
    if matches!(step, Step::Done | Step::Confirm) {
        sheet = sheet.link(format!("/desk/receipt/{}", handle(&id)), "desk-receipt-title", "primary");
    }
    if view.row.progress.state.is_open() && step != Step::Remote {
        sheet = sheet.link(format!("{}/reject", path(&id)), "desk-reject", "plain");
    }
    sheet
}

fn refuse(here: &Here<'_>, id: Option<&Id>, given: &Given, posted: bool) -> Result<Response, FlowError> {
    let view = here.meant(id)?;
    let id = view.row.order.id;
    let form = || {
        let mut sheet = here.sheet("desk-reject-title", "desk-reject-intro");
        sheet.facts = told(&sheet.page, &view);
        let fields = vec![
            Field::pick(&sheet.page, "reason", "desk-fact-reason", named(&sheet.page, "reason", &REASONS)),
            Field::area(&sheet.page, "remark", "desk-field-remark", REMARK_MAX),
        ];
        sheet.form(format!("{}/reject", path(&id)), fields, "desk-reject").link(path(&id), "ui-back", "plain")
    };
    if !posted {
        return Ok(form().answer());
    }
    let reason = given.of("reason").filter(|one| REASONS.contains(one)).ok_or_else(|| unfit("reason"));
    match reason.and_then(|reason| enrol::reject(here.app, &here.clerk.caller, &id, reason, remark(given))) {
        Ok(_) => Ok(to_step(&id)),
        Err(error) => {
            let key = here.refused(error, "reject", Some(&id))?;
            Ok(form().wrong(key, Some("reason"), given).answer())
        }
    }
}
