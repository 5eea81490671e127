//! The pages of a flow's steps: one template, filled from what is asked.

use askama::Template;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::browser::{self, Visitor};
use super::page::{Page, respond};
use crate::appliance::Appliance;
use crate::flows::journey::{Asked, PASSWORD_MAX, PASSWORD_MIN, Scan, Shown, View};
use domain::flow::Purpose;

mod form;

pub(super) use form::{Form, Typed};

/// Seconds before a waiting page without script asks whether the phone has decided.
const WAIT_REFRESH_S: u32 = 1;
/// Longest text of a field, in characters, where no other limit stands.
const FIELD_MAX: usize = 128;
/// Longest address as typed, in characters.
const ADDRESS_MAX: usize = 600;

/// A field of the form.
struct Field {
    name: &'static str,
    label: &'static str,
    hint: Option<&'static str>,
    kind: &'static str,
    autocomplete: &'static str,
    max: usize,
    numeric: bool,
    required: bool,
    value: String,
}

impl Field {
    fn new(name: &'static str, label: &'static str, kind: &'static str, autocomplete: &'static str) -> Self {
        let (max, value) = (FIELD_MAX, String::new());
        Field { name, label, hint: None, kind, autocomplete, max, numeric: false, required: true, value }
    }

    fn code() -> Self {
        let hint = Some("field-otp-hint");
        let field = Field::new("otp", "field-otp", "text", "one-time-code");
        Field { hint, numeric: true, max: 16, ..field }
    }
}

struct Button {
    action: &'static str,
    label: &'static str,
}

struct Error {
    key: &'static str,
    text: String,
    /// The one field that it is about; none where it may be any.
    field: Option<&'static str>,
    /// Whether it is about what was typed at all.
    typed: bool,
}

impl Error {
    fn new(page: &Page, key: &'static str, fields: &[Field]) -> Self {
        let typed = !(key.ends_with("too-many-attempts")
            || key.starts_with("flow.")
            || key.starts_with("push.")
            || key.starts_with("registration.")
            || matches!(key, "login.error.locked" | "sms.rate_limited" | "sms.send_failed"));
        let only = match fields {
            [only] => Some(only.name),
            _ => None,
        };
        let field = field_of(key).or(only).filter(|_| typed);
        let text = page.text_with(key, &[("min", &PASSWORD_MIN.to_string())]);
        Error { key, text, field, typed }
    }

    fn is_about(&self, field: &str) -> bool {
        self.typed && self.field.is_none_or(|about| about == field)
    }
}

/// What stands above the step: with a code's life, in seconds and as it is written, in its midst.
struct Notice {
    before: String,
    left: Option<(i64, String)>,
    after: String,
    /// What takes its place when that life is over.
    over: String,
}

impl Notice {
    fn plain(text: String) -> Self {
        Notice { before: text, left: None, after: String::new(), over: String::new() }
    }

    /// How long what a step asks for is still good, `ms` milliseconds.
    fn life(page: &Page, ms: i64, asked: Asked) -> Self {
        let keys = match asked {
            Asked::SmsWait => ["expires-in-link", "expired-link"],
            Asked::PushWait => ["expires-in-push", "expired-push"],
            Asked::MfaRegister => ["expires-in-picture", "expired-picture"],
            _ => ["expires-in", "expired"],
        };
        let text = page.text_with(keys[0], &[("left", LEFT)]);
        let (before, after) = text.split_once(LEFT).unwrap_or((&text, ""));
        Notice {
            before: before.to_owned(),
            left: Some((ms.max(0) / 1000, left(ms))),
            after: after.to_owned(),
            over: page.text(keys[1]),
        }
    }
}

fn field_of(key: &str) -> Option<&'static str> {
    Some(match key {
        "details.error.name" => "username",
        "details.error.password" => "password",
        "details.error.email" => "email",
        "details.error.address" => "address",
        _ => return None,
    })
}

#[derive(Template)]
#[template(path = "step.html")]
struct StepPage<'v> {
    page: Page,
    title: String,
    intro: String,
    error: Option<Error>,
    notices: Vec<Notice>,
    /// Whether the page waits for somebody's decision elsewhere.
    waits: Option<&'static str>,
    /// The QR code that registers a phone.
    scan: Option<&'v Scan>,
    /// The number to tap on the phone.
    number: Option<u8>,
    /// Recovery codes, this once.
    codes: &'v [zeroize::Zeroizing<String>],
    /// Whether the main button shows them.
    reveals: bool,
    /// Whether there is a main button: not where only another try leads on.
    goes_on: bool,
    /// Whether the message is still on its way, so that the page has more to say in a moment.
    delivering: bool,
    shown: Option<&'v Shown>,
    action: Option<&'static str>,
    csrf: String,
    options: &'v [crate::flows::journey::Offered],
    fields: Vec<Field>,
    go: &'static str,
    buttons: Vec<Button>,
    onward: Option<(&'static str, &'static str)>,
}

impl StepPage<'_> {
    /// The error, where it belongs to no one field.
    fn error_above(&self) -> Option<&Error> {
        self.error.as_ref().filter(|error| error.field.is_none())
    }

    /// The error, where it is about this field alone.
    fn error_beside(&self, field: &Field) -> Option<&Error> {
        self.error.as_ref().filter(|error| error.field == Some(field.name))
    }

    fn is_wrong(&self, field: &Field) -> bool {
        self.error.as_ref().is_some_and(|error| error.is_about(field.name))
    }

    /// What stands around a field and belongs to it: its hint, and the error that is about it.
    fn described(&self, field: &Field) -> String {
        let hint = field.hint.map(|_| format!("{}-hint", field.name));
        let wrong = self.is_wrong(field);
        let ids: Vec<String> = hint.into_iter().chain(wrong.then(|| "error-text".to_owned())).collect();
        let described =
            if ids.is_empty() { String::new() } else { format!("aria-describedby=\"{}\"", ids.join(" ")) };
        let invalid = if wrong { " aria-invalid=\"true\"" } else { "" };
        format!("{described}{invalid}")
    }

    /// The first field, or the first one that is wrong.
    fn has_focus(&self, field: &Field) -> bool {
        let wrong = self.fields.iter().find(|field| self.is_wrong(field));
        wrong.or(self.fields.first()).is_some_and(|first| first.name == field.name)
    }
}

impl AsRef<Page> for StepPage<'_> {
    fn as_ref(&self) -> &Page {
        &self.page
    }
}

/// The path of a step's page (SMS-42, MOB-28).
pub(super) fn path(view: &View) -> &'static str {
    match view.asked {
        Asked::Username => "/ui/sms/username",
        Asked::Password => "/ui/login",
        Asked::Select => "/ui/select",
        Asked::SmsCode => "/ui/sms/code",
        Asked::SmsWait => "/ui/sms/wait",
        Asked::Info => "/ui/sms/info",
        Asked::Number if view.changing => "/ui/sms/register",
        Asked::Number => "/ui/number",
        Asked::NumberVerify if view.changing => "/ui/sms/confirm",
        Asked::NumberVerify => "/ui/number/verify",
        Asked::NoLetter => "/ui/number/letter",
        Asked::OathCode => "/ui/oath/verify",
        Asked::OathActivate => "/ui/oath/activate",
        Asked::OathResync => "/ui/oath/resync",
        Asked::EmailCode => "/ui/email/code",
        Asked::PushWait => "/ui/push/wait",
        Asked::RecoveryCode => "/ui/recovery/verify",
        Asked::MfaRegister => "/ui/mfa/register",
        Asked::RecoveryCodes => "/ui/recovery",
        Asked::Details => "/ui/register",
        Asked::Migrate => "/ui/migrate",
        Asked::Done => "/ui/done",
        Asked::Failed => "/ui/failed",
    }
}

/// All paths of [`path`].
pub(super) const PATHS: [&str; 23] = [
    "/ui/sms/username",
    "/ui/select",
    "/ui/sms/code",
    "/ui/sms/wait",
    "/ui/sms/info",
    "/ui/sms/register",
    "/ui/sms/confirm",
    "/ui/sms/done",
    "/ui/number",
    "/ui/number/verify",
    "/ui/number/letter",
    "/ui/number/done",
    "/ui/oath/verify",
    "/ui/oath/activate",
    "/ui/oath/resync",
    "/ui/email/code",
    "/ui/push/wait",
    "/ui/recovery/verify",
    "/ui/mfa/register",
    "/ui/recovery",
    "/ui/migrate",
    "/ui/done",
    "/ui/failed",
];

/// A page's words: title, introduction.
fn words(page: &Page, view: &View) -> (String, String) {
    let user = view.user.as_ref().map_or("", |name| name.as_str());
    // A word joiner: the dots and the digits after them stay on one line.
    let phone = view.phone_masked.as_deref().unwrap_or_default().replace('…', "…\u{2060}");
    let (title, intro) = match view.asked {
        Asked::Username => ("username-title", "username-intro"),
        Asked::Password if view.user.is_some() => ("password-title", "password-intro-known"),
        Asked::Password => ("password-title", "password-intro"),
        Asked::Select => ("select-title", "select-intro"),
        Asked::SmsCode => ("sms-code-title", "sms-code-intro"),
        Asked::SmsWait => ("sms-wait-title", "sms-wait-intro"),
        Asked::Info => ("sms-info-title", "sms-info-intro"),
        Asked::Number => ("number-title", "number-intro"),
        Asked::NumberVerify if view.wants_iak => ("number-verify-title", "number-verify-intro-iak"),
        Asked::NumberVerify => ("number-verify-title", "number-verify-intro"),
        Asked::NoLetter => ("no-letter-title", "no-letter-intro"),
        Asked::OathCode => ("oath-code-title", "oath-code-intro"),
        Asked::OathActivate if view.unconfirmed => ("oath-activate-title", "oath-activate-scan"),
        Asked::OathActivate => ("oath-activate-title", "oath-activate-intro"),
        Asked::OathResync => ("oath-resync-title", "oath-resync-intro"),
        Asked::EmailCode => ("email-code-title", "email-code-intro"),
        Asked::PushWait if view.decided => ("push-wait-title", "push-wait-over"),
        Asked::PushWait if view.number.is_some() => ("push-wait-title", "push-wait-intro-number"),
        Asked::PushWait => ("push-wait-title", "push-wait-intro"),
        Asked::RecoveryCode => ("recovery-code-title", "recovery-code-intro"),
        Asked::MfaRegister if view.decided => ("mfa-register-title", "mfa-register-over"),
        Asked::MfaRegister if view.wants_first_code => ("mfa-register-title", "oath-activate-intro"),
        Asked::MfaRegister => ("mfa-register-title", "mfa-register-intro"),
        Asked::RecoveryCodes if view.codes.is_some() => ("recovery-codes-title", "recovery-codes-keep"),
        Asked::RecoveryCodes if view.can_reveal => ("recovery-codes-title", "recovery-codes-intro"),
        Asked::RecoveryCodes if view.can_reveal_again => ("recovery-codes-title", "recovery-codes-again"),
        Asked::RecoveryCodes => ("recovery-codes-title", "recovery-codes-shown"),
        Asked::Details => ("details-title", "details-intro"),
        Asked::Migrate => ("migrate-title", "migrate-intro"),
        Asked::Done if view.purpose == Purpose::SelfService => ("done-title", "done-changed"),
        Asked::Done if view.purpose == Purpose::SelfRegistration => ("done-title", "done-registered"),
        Asked::Done => ("done-title", "done-intro"),
        Asked::Failed => ("failed-title", "failed-intro"),
    };
    (page.text(title), page.text_with(intro, &[("user", user), ("phone", &phone)]))
}

fn fields(view: &View) -> Vec<Field> {
    let name = || Field::new("username", "field-name", "text", "username");
    let password =
        |fill| Field { max: PASSWORD_MAX, ..Field::new("password", "field-password", "password", fill) };
    match view.asked {
        Asked::Username => vec![name()],
        Asked::Password if view.user.is_some() => vec![password("current-password")],
        Asked::Password => vec![name(), password("current-password")],
        Asked::OathActivate if view.unconfirmed => Vec::new(),
        Asked::SmsCode | Asked::OathCode | Asked::OathActivate | Asked::EmailCode => vec![Field::code()],
        Asked::MfaRegister if view.wants_first_code => vec![Field::code()],
        Asked::RecoveryCode => {
            let hint = Some("field-recovery-hint");
            vec![Field { hint, max: 24, ..Field::new("otp", "field-recovery", "text", "off") }]
        }
        Asked::OathResync => vec![
            Field { label: "field-otp-first", ..Field::code() },
            Field {
                name: "otp_next",
                label: "field-otp-next",
                hint: Some("field-otp-next-hint"),
                autocomplete: "off",
                ..Field::code()
            },
        ],
        Asked::Number => {
            let hint = Some("field-number-hint");
            let value = view.prefill.as_ref().map_or_else(String::new, |number| number.expose().to_owned());
            vec![Field { hint, max: 32, value, ..Field::new("number", "field-number", "tel", "tel") }]
        }
        Asked::NumberVerify if view.wants_iak => {
            let hint = Some("field-iak-hint");
            let iak = Field { hint, max: 24, ..Field::new("iak", "field-iak", "text", "off") };
            vec![Field::code(), iak]
        }
        Asked::NumberVerify => vec![Field::code()],
        Asked::Details => vec![
            name(),
            Field { hint: Some("field-password-hint"), ..password("new-password") },
            Field { required: false, max: 254, ..Field::new("email", "field-email", "email", "email") },
            Field {
                required: false,
                hint: Some("field-address-hint"),
                max: ADDRESS_MAX,
                ..Field::new("address", "field-address", "textarea", "street-address")
            },
        ],
        Asked::Select
        | Asked::Migrate
        | Asked::SmsWait
        | Asked::PushWait
        | Asked::MfaRegister
        | Asked::RecoveryCodes
        | Asked::Info
        | Asked::NoLetter
        | Asked::Done
        | Asked::Failed => Vec::new(),
    }
}

fn refilled(fields: Vec<Field>, typed: &Typed) -> Vec<Field> {
    let refill = |field: Field| match typed.of(field.name) {
        Some(text) => Field { value: text.chars().take(field.max).collect(), ..field },
        None => field,
    };
    fields.into_iter().map(refill).collect()
}

/// What another try is called.
fn again(asked: Asked) -> &'static str {
    match asked {
        Asked::SmsWait => "ui-resend-link",
        Asked::PushWait => "ui-resend-push",
        Asked::MfaRegister => "ui-new-qr",
        _ => "ui-resend",
    }
}

/// Where a page that waits for a phone asks whether it has decided. That request is held, so that the page in front of
/// the user is seldom replaced.
fn waits_at(view: &View) -> Option<&'static str> {
    match view.asked {
        Asked::SmsWait => Some("/ui/sms/wait?hold=1"),
        Asked::PushWait if !view.decided => Some("/ui/push/wait?hold=1"),
        Asked::MfaRegister if !view.decided && !view.wants_first_code => Some("/ui/mfa/register?hold=1"),
        _ => None,
    }
}

/// What a page waits with, while it waits: it changes when the page has more to offer.
pub(super) fn awaited(view: &View) -> Option<bool> {
    (waits_at(view).is_some() && !view.decided).then_some(view.can_code)
}

/// Whether the phone of a page that waits has decided, or its time is over, and the flow has not been told.
pub(super) fn is_decided(view: &View) -> bool {
    matches!(view.asked, Asked::PushWait | Asked::MfaRegister) && view.decided && view.error.is_none()
}

fn buttons(view: &View) -> Vec<Button> {
    let ended = matches!(view.asked, Asked::Done | Asked::Failed);
    [
        (view.can_resend, "resend", again(view.asked)),
        (view.can_code, "code", "ui-code-instead"),
        (view.can_recover, "recover", "ui-recover"),
        (view.can_register, "register", "ui-register"),
        (view.can_resync, "resync", "ui-resync"),
        (view.can_back, "back", "ui-back"),
        (view.can_skip, "skip", "ui-skip"),
        (view.can_order, "order", "no-letter-order"),
        (view.can_reveal_again, "reveal", "ui-reveal-again"),
        // What is registered stays: only its codes are still to be kept.
        (!ended && view.asked != Asked::RecoveryCodes, "cancel", "ui-cancel"),
    ]
    .into_iter()
    .filter(|(there, ..)| *there)
    .map(|(_, action, label)| Button { action, label })
    .collect()
}

/// Who sees a page.
pub(super) struct Audience {
    /// The token of this browser's forms.
    csrf: String,
    /// The language that was chosen in this browser.
    lang: Option<String>,
}

impl Audience {
    pub(super) fn new(visitor: &Visitor, headers: &HeaderMap) -> Self {
        Audience { csrf: visitor.csrf(), lang: browser::language(headers).map(str::to_owned) }
    }
}

/// Stands for the time that is left while a text is put together.
const LEFT: &str = "\u{0}";

/// Minutes and seconds: a time of day would need the user's own zone.
fn left(ms: i64) -> String {
    let seconds = ms.max(0) / 1000;
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

/// The page of a flow.
pub(super) fn render(app: &Appliance, view: &View, audience: &Audience, typed: &Typed) -> Response {
    let chosen = audience.lang.as_deref().filter(|tag| app.config.texts.serving(tag).is_some());
    let mut page = Page::new(app, chosen.unwrap_or(&view.lang));
    page.here = Some(path(view));
    let (title, intro) = words(&page, view);
    let fields = fields(view);
    let error = view.error.map(|key| Error::new(&page, key, &fields));
    let link = view.asked == Asked::SmsWait;
    let notice = |key| if link && key == "resent" { "resent-link" } else { key };
    let said = view.notice.map(|key| Notice::plain(page.text(notice(key))));
    let mut notices: Vec<Notice> = said.into_iter().collect();
    if view.delivering && notices.is_empty() {
        notices.push(Notice::plain(page.text("delivering")));
    }
    if let Some(ms) = view.expires_at_ms {
        notices.push(Notice::life(&page, ms - app.clock.now().wall_ms, view.asked));
    }
    let waits = waits_at(view);
    page.refresh = waits.map(|path| (WAIT_REFRESH_S, path));
    page.script = waits.is_some() || view.delivering || view.expires_at_ms.is_some() || view.shown.is_some();
    page.return_origin.clone_from(&view.return_origin);
    let (action, onward) = match view.asked {
        Asked::Done | Asked::Failed if view.portal => (None, Some(("/ui/self", "portal-title"))),
        Asked::Failed => (None, Some(("/ui/login", "ui-start-again"))),
        Asked::Done if view.purpose == Purpose::SelfRegistration => {
            (None, Some(("/ui/login", "password-title")))
        }
        Asked::Done => (None, None),
        _ => (Some(path(view)), None),
    };
    let go = match view.asked {
        Asked::NoLetter => "ui-check-again",
        _ if waits.is_some() => "ui-check-again",
        Asked::RecoveryCodes if view.can_reveal => "ui-reveal",
        Asked::RecoveryCodes => "ui-kept",
        _ => "ui-continue",
    };
    let status = if view.error.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let page = StepPage {
        title,
        intro,
        error,
        notices,
        shown: view.shown.as_ref(),
        action,
        waits,
        scan: view.scan.as_ref(),
        number: view.number,
        codes: view.codes.as_deref().unwrap_or_default(),
        reveals: view.can_reveal,
        goes_on: !(view.decided && matches!(view.asked, Asked::PushWait | Asked::MfaRegister)),
        delivering: view.delivering,
        csrf: audience.csrf.clone(),
        options: &view.options,
        // A name at a login is not repeated: for every name the answer is the same, byte by byte (SMS-08).
        fields: if matches!(view.asked, Asked::Details | Asked::Number) {
            refilled(fields, typed)
        } else {
            fields
        },
        go,
        buttons: buttons(view),
        onward,
        page,
    };
    respond(status, &page)
}
