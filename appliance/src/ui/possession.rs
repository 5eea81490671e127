//! The page on which a factor is shown, and the parts that the desk's has too: what is typed, what is sent, what an app
//! scans. When it may be shown is [`enrol`]'s to judge.

use axum::response::Response;
use domain::enrol::{Factor, Refusal};
use domain::names::Serial;
use zeroize::Zeroizing;

use super::enrol::{Here, about, facts, home_again};
use super::page::Page;
use super::sheet::{Field, Given, Other, Scan, Sheet, refusal};
use crate::appliance::Appliance;
use crate::flows::enrol::{self, Shown, View};
use crate::flows::{Caller, FlowError, handle, parse_handle};
use crate::qr;

/// Longest number that is typed, in characters.
const NUMBER_MAX: usize = 32;

/// What is on its way to a phone, as the form repeats it.
pub(super) struct Sent {
    challenge: String,
    number: Option<u8>,
    notice: Option<String>,
}

impl Sent {
    /// Sends a code, or asks the phone.
    ///
    /// # Errors
    /// As [`enrol::send`].
    pub(super) fn now(
        app: &Appliance,
        caller: &Caller,
        page: &Page,
        (view, given): (&View, &Given),
    ) -> Result<Self, FlowError> {
        let sent = enrol::send(app, caller, &view.row.order.id, given.of("number"))?;
        let notice = match &sent.phone_masked {
            Some(masked) => page.text_with("enrol-sent", &[("number", masked)]),
            None => page.text("enrol-asked"),
        };
        Ok(Sent { challenge: handle(&sent.challenge), number: sent.number, notice: Some(notice) })
    }

    /// What was sent before, for the form once more after this error; none where it is to be sent anew.
    ///
    /// # Errors
    /// When the HSM or the store cannot answer.
    pub(super) fn before(
        app: &Appliance,
        caller: &Caller,
        (view, given): (&View, &Given),
        error: &FlowError,
    ) -> Result<Option<Self>, FlowError> {
        let Some(challenge) = given.of("challenge") else { return Ok(None) };
        let waits = matches!(error, FlowError::Enrol(Refusal::Unanswered));
        if view.row.progress.factor == Some(Factor::Push) && !waits {
            return Ok(None);
        }
        let id = parse_handle(challenge).ok_or(FlowError::NotFound("challenge"))?;
        let number = enrol::number_to_select(app, caller, view, &id)?;
        Ok(Some(Sent { challenge: challenge.to_owned(), number, notice: None }))
    }

    /// Puts it on a sheet.
    pub(super) fn onto(self, sheet: &mut Sheet) {
        sheet.hidden.push(("challenge", self.challenge));
        sheet.number = self.number;
        sheet.notice = self.notice;
    }
}

/// Whether a form asks for something to be sent first.
pub(super) fn is_to_send(view: &View, given: &Given) -> bool {
    matches!(view.row.progress.factor, Some(Factor::Sms | Factor::Push)) && given.of("challenge").is_none()
}

/// What shows a factor: the code that is in the form, or what was answered on the phone.
pub(super) fn shown_by(view: &View, given: &Given) -> Result<Shown, FlowError> {
    let otp = given.text("otp");
    if let Some(challenge) = given.of("challenge") {
        let challenge = parse_handle(challenge).ok_or(FlowError::NotFound("challenge"))?;
        return Ok(match view.row.progress.factor {
            Some(Factor::Push) => Shown::Push { challenge },
            _ => Shown::Sms { challenge, otp },
        });
    }
    let serial = given.of("serial").map(|text| Serial::parse(&text.to_ascii_uppercase())).transpose();
    Ok(Shown::Token { serial: serial.map_err(|_| FlowError::NotFound("token"))?, otp })
}

/// The fields by which a factor is shown, and the label of the button. At the desk the serial number is read from the
/// token in the applicant's hand each time: it may be another one.
pub(super) fn show_fields(page: &Page, view: &View, at_desk: bool, sent: bool) -> (Vec<Field>, &'static str) {
    match (view.row.progress.factor, sent) {
        (Some(Factor::Push), false) => return (Vec::new(), "enrol-ask-phone"),
        (Some(Factor::Push), true) => return (Vec::new(), "enrol-phone-answered"),
        (Some(Factor::Sms), true) => return (vec![Field::otp(page)], "ui-continue"),
        (Some(Factor::Sms), false) if view.row.progress.item.is_some() => return (Vec::new(), "enrol-send"),
        (Some(Factor::Sms), false) => {
            let number = Field::line(page, "number", "enrol-field-number").kind("tel").at_most(NUMBER_MAX);
            return (vec![number.hinted(page, "enrol-field-number-hint").optional()], "enrol-send");
        }
        _ => {}
    }
    let mut fields = vec![Field::otp(page)];
    let is_token = view.row.progress.factor == Some(Factor::Hardware);
    if view.token.is_none() || (at_desk && is_token) {
        let serial =
            Field::line(page, "serial", "enrol-field-serial").hinted(page, "enrol-field-serial-hint");
        fields.insert(0, if is_token { serial } else { serial.optional() });
    }
    (fields, "ui-continue")
}

/// The button that registers a phone, where there is none yet.
pub(super) fn offers(view: &View) -> Option<Other> {
    let wanted = view.row.progress.factor == Some(Factor::Push) && view.row.progress.item.is_none();
    wanted.then_some(Other { action: "register", label: "enrol-register-phone", class: "" })
}

/// What the phone scans, in the words that belong to it.
///
/// # Errors
/// As [`enrol::register`].
pub(super) fn scan(
    app: &Appliance,
    caller: &Caller,
    view: &View,
    lang: Option<&str>,
) -> Result<Scan, FlowError> {
    let made = enrol::register(app, caller, &view.row.order.id, None, lang.map(str::to_owned))?;
    let begun = made.begun;
    Ok(Scan { qr: Zeroizing::new(picture(&begun.uri)?), uri: begun.uri, message: begun.message })
}

fn picture(uri: &str) -> Result<String, FlowError> {
    let code = qr::encode(uri);
    let code = code.ok_or_else(|| FlowError::Invalid("the QR code would be too large".to_owned()))?;
    Ok(qr::svg(&code))
}

fn prove_form(here: &Here<'_>, view: &View, sent: Option<Sent>) -> Sheet {
    let intro = match view.row.progress.factor {
        Some(Factor::Push) => "enrol-possession-app",
        _ => "enrol-possession-intro",
    };
    let sheet = here.sheet("enrol-possession-title", intro);
    let (fields, go) = show_fields(&sheet.page, view, false, sent.is_some());
    let mut sheet = about(sheet.form("/ui/enrol/possession", fields, go), view);
    sheet.facts = facts(&sheet.page, view);
    if let Some(sent) = sent {
        sent.onto(&mut sheet);
    }
    if view.row.progress.factor == Some(Factor::Soft) && view.token.is_none() {
        sheet.others.push(Other { action: "make", label: "enrol-make-app", class: "" });
    }
    sheet.others.extend(offers(view));
    sheet
}

/// The key of a new app, which is shown once, above the form for its first code.
fn made(here: &Here<'_>, made: &enrol::Made) -> Result<Sheet, FlowError> {
    let key = made.uri.split_once("secret=").map_or("", |(_, rest)| rest.split('&').next().unwrap_or(rest));
    let groups: Vec<&str> =
        key.as_bytes().chunks(4).map(|group| std::str::from_utf8(group).unwrap_or_default()).collect();
    let mut sheet = prove_form(here, &made.view, None);
    sheet.intro = sheet.page.text("oath-activate-intro");
    sheet.qr = Some(Zeroizing::new(picture(&made.uri)?));
    sheet.code = Some(Zeroizing::new(groups.join(" ")));
    Ok(sheet)
}

/// The form with what a phone scans, which is shown once.
fn scanned(here: &Here<'_>, view: &View) -> Result<Sheet, FlowError> {
    let scan = scan(here.app, &here.caller, view, Some(&here.lang))?;
    let mut sheet = prove_form(here, view, None);
    sheet.intro = sheet.page.text("enrol-register-intro");
    sheet.scan = Some(scan);
    Ok(sheet)
}

/// It is shown.
///
/// # Errors
/// When the HSM or the store cannot answer.
pub(super) fn prove(here: &Here<'_>, given: &Given, posted: bool) -> Result<Response, FlowError> {
    let view = here.meant(given)?;
    let (app, caller, id) = (here.app, &here.caller, view.row.order.id);
    if !posted {
        return Ok(prove_form(here, &view, None).answer());
    }
    let sheet = match given.of("action") {
        Some("make") => Some(enrol::make(app, caller, &id).and_then(|new| made(here, &new))),
        Some("register") => Some(scanned(here, &view)),
        _ if is_to_send(&view, given) => {
            let page = Page::new(app, &here.lang);
            let sent = Sent::now(app, caller, &page, (&view, given));
            Some(sent.map(|sent| prove_form(here, &view, Some(sent))))
        }
        _ => None,
    };
    match sheet {
        Some(Ok(sheet)) => return Ok(sheet.answer()),
        Some(Err(error)) => {
            return Ok(prove_form(here, &view, None).wrong(refusal(error)?, None, given).answer());
        }
        None => {}
    }
    match shown_by(&view, given).and_then(|shown| enrol::show_factor(app, caller, &id, &shown)) {
        Ok(_) => home_again(),
        Err(error) => {
            let sent = Sent::before(app, caller, (&view, given), &error)?;
            Ok(prove_form(here, &view, sent).wrong(refusal(error)?, None, given).answer())
        }
    }
}
