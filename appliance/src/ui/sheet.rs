//! A form, a list or a sheet of facts, as the pages of enrolments show them: one template. It knows no enrolment.

use std::collections::BTreeMap;

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use domain::enrol::{Activity, Refusal};

use super::page::{Page, respond};
use crate::flows::FlowError;
use crate::store::StoreError;

/// Longest text of a field, in characters, where no other limit stands.
const FIELD_MAX: usize = 128;
/// Fields of one form at the most.
const FIELDS_MAX: usize = 40;

/// What a form holds, by the names of its fields.
#[derive(Default)]
pub(super) struct Given(BTreeMap<String, String>);

impl Given {
    /// Reads a form's body, or a query.
    ///
    /// # Errors
    /// [`FlowError::Invalid`] for what is no form, or a larger one than any of ours.
    pub(super) fn read(body: &[u8]) -> Result<Self, FlowError> {
        let unfit = || FlowError::Invalid("the form is not what it should be".to_owned());
        let pairs: Vec<(String, String)> = serde_urlencoded::from_bytes(body).map_err(|_| unfit())?;
        if pairs.len() > FIELDS_MAX {
            return Err(unfit());
        }
        Ok(Given(pairs.into_iter().collect()))
    }

    /// What was typed or chosen, without the space around it; none where that is nothing.
    pub(super) fn of(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|text| text.trim()).filter(|text| !text.is_empty())
    }

    /// The same as a value of its own; empty where there is nothing.
    pub(super) fn text(&self, name: &str) -> String {
        self.of(name).unwrap_or_default().to_owned()
    }

    /// A question that is answered by yes or no.
    pub(super) fn decided(&self, name: &str) -> Option<bool> {
        match self.of(name)? {
            "yes" => Some(true),
            "no" => Some(false),
            _ => None,
        }
    }
}

/// One of several that can be chosen.
pub(super) struct Choice {
    pub(super) value: String,
    pub(super) label: String,
}

/// A field of the form.
pub(super) struct Field {
    name: &'static str,
    label: String,
    hint: Option<String>,
    /// Type of the input; `pick`, `check` and `area` are no inputs of HTML.
    kind: &'static str,
    autocomplete: &'static str,
    max: usize,
    numeric: bool,
    required: bool,
    choices: Vec<Choice>,
    value: String,
}

impl Field {
    /// A line of text.
    pub(super) fn line(page: &Page, name: &'static str, label: &str) -> Self {
        Field {
            name,
            label: page.text(label),
            hint: None,
            kind: "text",
            autocomplete: "off",
            max: FIELD_MAX,
            numeric: false,
            required: true,
            choices: Vec::new(),
            value: String::new(),
        }
    }

    /// The code of a token.
    pub(super) fn otp(page: &Page) -> Self {
        let field = Field::line(page, "otp", "field-otp").hinted(page, "field-otp-hint");
        Field { numeric: true, max: 16, autocomplete: "one-time-code", ..field }
    }

    /// Several lines.
    pub(super) fn area(page: &Page, name: &'static str, label: &str, max: usize) -> Self {
        Field { kind: "area", required: false, max, ..Field::line(page, name, label) }
    }

    /// One of several.
    pub(super) fn pick(page: &Page, name: &'static str, label: &str, choices: Vec<Choice>) -> Self {
        // Of one there is nothing to choose.
        let value = if let [only] = choices.as_slice() { only.value.clone() } else { String::new() };
        Field { kind: "pick", choices, value, ..Field::line(page, name, label) }
    }

    /// A question that is answered by yes or no.
    pub(super) fn ask(page: &Page, name: &'static str, label: &str) -> Self {
        let choice = |value: &str, label: &str| Choice { value: value.to_owned(), label: page.text(label) };
        Field::pick(page, name, label, vec![choice("yes", "ui-yes"), choice("no", "ui-no")])
    }

    /// A box to tick.
    pub(super) fn check(page: &Page, name: &'static str, label: &str) -> Self {
        Field { kind: "check", ..Field::line(page, name, label) }
    }

    /// Of another type of input.
    pub(super) fn kind(self, kind: &'static str) -> Self {
        Field { kind, ..self }
    }

    /// With what helps to fill it in.
    pub(super) fn hinted(self, page: &Page, hint: &str) -> Self {
        Field { hint: Some(page.text(hint)), ..self }
    }

    /// It may be left empty.
    pub(super) fn optional(self) -> Self {
        Field { required: false, ..self }
    }

    /// At most so many characters.
    pub(super) fn at_most(self, max: usize) -> Self {
        Field { max, ..self }
    }

    /// With this in it from the beginning, where there is something.
    pub(super) fn filled(self, value: &str) -> Self {
        if value.is_empty() { self } else { Field { value: value.to_owned(), ..self } }
    }
}

/// What went wrong.
pub(super) struct Wrong {
    key: &'static str,
    text: String,
    /// The field that it is about; none where it is about none.
    field: Option<&'static str>,
}

/// A further form with a single button.
pub(super) struct Other {
    pub(super) action: &'static str,
    pub(super) label: &'static str,
    pub(super) class: &'static str,
}

/// A way to another page.
pub(super) struct Link {
    pub(super) href: String,
    pub(super) label: String,
    pub(super) class: &'static str,
}

/// What a phone with the app scans, shown once.
pub(super) struct Scan {
    /// As a picture.
    pub(super) qr: zeroize::Zeroizing<String>,
    /// For an app on the same phone.
    pub(super) uri: zeroize::Zeroizing<String>,
    /// The operator's text beside it.
    pub(super) message: Option<String>,
}

/// One of a list.
pub(super) struct Card {
    pub(super) heading: String,
    pub(super) facts: Vec<(String, String)>,
    pub(super) note: Option<String>,
    pub(super) links: Vec<Link>,
    /// Hidden field of the forms below it.
    pub(super) about: String,
    pub(super) others: Vec<Other>,
}

/// A step of the way, where the page is one of several in a fixed order.
pub(super) struct Stage {
    pub(super) label: String,
    /// `done`, `now` or `ahead`.
    pub(super) class: &'static str,
}

/// The page.
#[derive(Template)]
#[template(path = "enrol_sheet.html")]
pub(super) struct Sheet {
    pub(super) page: Page,
    pub(super) title: String,
    pub(super) intro: String,
    pub(super) error: Option<Wrong>,
    pub(super) notice: Option<String>,
    pub(super) stages: Vec<Stage>,
    /// The step that the form is for; empty where there is no order to keep.
    pub(super) step: &'static str,
    pub(super) facts: Vec<(String, String)>,
    /// What an app scans, as a picture.
    pub(super) qr: Option<zeroize::Zeroizing<String>>,
    /// What a phone with the app scans.
    pub(super) scan: Option<Scan>,
    /// The number that is to be selected on the phone.
    pub(super) number: Option<u8>,
    /// A code to read and to write down.
    pub(super) code: Option<zeroize::Zeroizing<String>>,
    pub(super) cards: Vec<Card>,
    /// What stands where there is no card.
    pub(super) none: Option<String>,
    pub(super) csrf: String,
    /// Where the forms go; none for a page without.
    pub(super) action: Option<String>,
    pub(super) hidden: Vec<(&'static str, String)>,
    pub(super) fields: Vec<Field>,
    /// Label of the form's button; none where there is no form.
    pub(super) go: Option<String>,
    pub(super) others: Vec<Other>,
    pub(super) links: Vec<Link>,
    /// Name of who sits at the desk, on its pages.
    pub(super) desk: Option<String>,
    pub(super) prints: bool,
}

impl AsRef<Page> for Sheet {
    fn as_ref(&self) -> &Page {
        &self.page
    }
}

impl Sheet {
    /// With title and words, and nothing else yet.
    pub(super) fn new(page: Page, title: &str, intro: &str, csrf: &str) -> Self {
        Sheet {
            title: page.text(title),
            intro: page.text(intro),
            page,
            error: None,
            notice: None,
            stages: Vec::new(),
            step: "",
            facts: Vec::new(),
            qr: None,
            scan: None,
            number: None,
            code: None,
            cards: Vec::new(),
            none: None,
            csrf: csrf.to_owned(),
            action: None,
            hidden: Vec::new(),
            fields: Vec::new(),
            go: None,
            others: Vec::new(),
            links: Vec::new(),
            desk: None,
            prints: false,
        }
    }

    /// With a form.
    pub(super) fn form(self, action: impl Into<String>, fields: Vec<Field>, go: &str) -> Self {
        Sheet { action: Some(action.into()), fields, go: Some(self.page.text(go)), ..self }
    }

    /// With a further way.
    pub(super) fn link(mut self, href: impl Into<String>, label: &str, class: &'static str) -> Self {
        self.links.push(Link { href: href.into(), label: self.page.text(label), class });
        self
    }

    /// With what went wrong, and what was typed.
    pub(super) fn wrong(mut self, key: &'static str, field: Option<&'static str>, given: &Given) -> Self {
        let of_code = self.fields.iter().find(|one| one.name == "otp" || one.name == "code");
        let first = of_code.or(self.fields.first()).map(|one| one.name);
        let there = |name: &&str| self.fields.iter().any(|one| one.name == *name);
        let field = field.filter(there).or(first);
        self.error = Some(Wrong { key, text: self.page.text(key), field });
        for one in &mut self.fields {
            if one.name != "otp"
                && let Some(text) = given.of(one.name)
            {
                one.value = text.chars().take(one.max).collect();
            }
        }
        self
    }

    /// The answer.
    pub(super) fn answer(self) -> Response {
        let status = if self.error.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
        respond(status, &self)
    }

    fn leaves(&self, name: &str) -> String {
        self.page.text_with("desk-log-out", &[("name", name)])
    }

    fn is_about(&self, field: &Field) -> bool {
        self.error.as_ref().is_some_and(|wrong| wrong.field == Some(field.name))
    }

    fn has_focus(&self, field: &Field) -> bool {
        match &self.error {
            Some(_) => self.is_about(field),
            None => self.desk.is_none() && self.fields.first().is_some_and(|first| first.name == field.name),
        }
    }

    /// What describes a field to who cannot see it; names of ours only.
    fn described(&self, field: &Field) -> String {
        let mut by = Vec::new();
        if field.hint.is_some() {
            by.push(format!("{}-hint", field.name));
        }
        if self.is_about(field) {
            by.push("error-text".to_owned());
        }
        let invalid = if self.is_about(field) { " aria-invalid=\"true\"" } else { "" };
        if by.is_empty() { String::new() } else { format!("aria-describedby=\"{}\"{invalid}", by.join(" ")) }
    }
}

/// The key of what an act was refused for; what is no refusal is an error still.
///
/// # Errors
/// What no page of an enrolment can show.
pub(super) fn refusal(error: FlowError) -> Result<&'static str, FlowError> {
    Ok(match error {
        FlowError::Enrol(Refusal::Missing(Activity::Scheduling)) => "enrol.no_appointment",
        FlowError::Enrol(Refusal::WrongState(_) | Refusal::Missing(_) | Refusal::NotApplicable(_)) => {
            "enrol.not_now"
        }
        FlowError::Enrol(refusal) => refusal.code(),
        FlowError::RateLimited => "enrol.limited",
        FlowError::NoUserOrPhone => "enrol.no_phone",
        FlowError::Phone { key: "registration.exists", .. } => "enrol.app_exists",
        FlowError::Phone { key: "registration.quota", .. } => "enrol.app_quota",
        FlowError::Phone { key: "push.not_registered" | "push.not_configured", .. } => "enrol.no_app",
        FlowError::NoModem => "sms.send_failed",
        FlowError::Invalid(_) => "enrol.invalid",
        FlowError::Conflict(_) | FlowError::Store(StoreError::Exists(_)) => "enrol.not_usable",
        FlowError::Store(StoreError::Changed(_)) => "enrol.not_now",
        FlowError::NotFound("token" | "token or phone") => "enrol.not_usable",
        FlowError::NotFound("appointment") => "enrol.time_taken",
        FlowError::NotFound("user") => "enrol.no_user",
        FlowError::NotFound("challenge") => "enrol.possession_failed",
        other => return Err(other),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_once_and_within_bounds() {
        let given = Given::read(b"a=+x+&b=&c=yes&d=no&e=maybe").unwrap();
        assert_eq!((given.of("a"), given.of("b"), given.of("z")), (Some("x"), None, None));
        let decided = ["c", "d", "e", "z"].map(|name| given.decided(name));
        assert_eq!(decided, [Some(true), Some(false), None, None]);
        let many: Vec<String> = (0..=FIELDS_MAX).map(|n| format!("f{n}=1")).collect();
        assert!(Given::read(many.join("&").as_bytes()).is_err());
    }
}
