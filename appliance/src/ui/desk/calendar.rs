//! The times that the desk offers (BIND-11, D-55).

use axum::response::{IntoResponse, Redirect, Response};
use domain::token::Id;

use super::{Here, pages};
use crate::flows::enrol::{self, NewAppointment};
use crate::flows::{FlowError, handle};
use crate::store::appointment::AppointmentRow;
use crate::ui::page::Page;
use crate::ui::sheet::{Card, Field, Given, Link, Sheet};
use crate::ui::when;

/// Where it is.
const PATH: &str = "/desk/calendar";
/// How long an appointment takes, where nobody says so, in minutes.
const MINUTES: &str = "30";

pages! {
    /// The calendar.
    page => calendar;
}

fn card(page: &Page, slot: &AppointmentRow) -> Card {
    let minutes = page.text_with("enrol-minutes", &[("minutes", &slot.minutes.to_string())]);
    let free = if slot.enrolment.is_some() { "desk-time-taken" } else { "desk-time-free" };
    let mut facts = vec![
        (page.text("enrol-field-place"), slot.place.clone()),
        (page.text("desk-fact-duration"), minutes),
        (page.text("enrol-fact-state"), page.text(free)),
        (page.text("desk-fact-offered"), slot.published_by.clone()),
    ];
    if !slot.organisation.is_empty() {
        facts.push((page.text("enrol-fact-organisation"), slot.organisation.clone()));
    }
    let link = |id: Id| Link {
        href: format!("/desk/vet/{}", handle(&id)),
        label: page.text("desk-open"),
        class: "option",
    };
    Card {
        heading: when::shown(slot.starts_at),
        facts,
        note: None,
        links: slot.enrolment.map(link).into_iter().collect(),
        about: String::new(),
        others: Vec::new(),
    }
}

fn form(here: &Here<'_>) -> Result<Sheet, FlowError> {
    let sheet = here.sheet("desk-calendar", "desk-calendar-intro");
    let page = &sheet.page;
    let fields = vec![
        Field::line(page, "day", "desk-field-day").kind("date"),
        Field::line(page, "time", "desk-field-time").kind("time"),
        Field::line(page, "minutes", "desk-field-minutes").kind("number").filled(MINUTES),
        Field::line(page, "place", "enrol-field-place"),
        Field::line(page, "organisation", "enrol-fact-organisation").optional().at_most(64),
    ];
    let slots = enrol::appointments(here.app, &here.clerk.caller, None)?;
    let cards = slots.iter().map(|slot| card(page, slot)).collect();
    let none = Some(page.text("enrol-no-times"));
    Ok(Sheet { cards, none, ..sheet.form(PATH, fields, "desk-calendar-go") })
}

fn calendar(here: &Here<'_>, _: Option<&Id>, given: &Given, posted: bool) -> Result<Response, FlowError> {
    if !posted {
        return Ok(form(here)?.answer());
    }
    match offered(here, given) {
        Ok(_) => Ok(Redirect::to(PATH).into_response()),
        Err(error) => {
            let key = here.refused(error, "offer", None)?;
            Ok(form(here)?.wrong(key, Some("day"), given).answer())
        }
    }
}

fn offered(here: &Here<'_>, given: &Given) -> Result<AppointmentRow, FlowError> {
    let unfit = |what: &str| FlowError::Invalid(format!("{what}: is not what it should be"));
    let new = NewAppointment {
        starts_at: when::read(&given.text("day"), &given.text("time")).ok_or_else(|| unfit("day"))?,
        minutes: given.text("minutes").parse().map_err(|_| unfit("minutes"))?,
        place: given.text("place"),
        organisation: given.text("organisation"),
    };
    enrol::offer(here.app, &here.clerk.caller, new)
}
