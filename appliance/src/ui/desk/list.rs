//! What is open within the organisations of who sits at the desk, and a request of the desk's own (BIND-03, BIND-37).

use axum::response::{IntoResponse, Redirect, Response};
use domain::enrol::{Channel, Method};
use domain::names::UserName;
use domain::token::Id;

use super::{HOME, Here, pages};
use crate::flows::enrol::{self, Info, NewRequest, View, Wanted};
use crate::flows::{FlowError, handle};
use crate::store::enrolment_list::{FIRST, Place, Sequence};
use crate::ui::enrol::{facts, further, read_way, way};
use crate::ui::page::Page;
use crate::ui::sheet::{Card, Choice, Field, Given, Link, Sheet};

/// Enrolments that are shown at once.
const SHOWN_MAX: usize = 100;
/// Which factor it will be.
const SECOND: u8 = 2;

pages! {
    /// What is open.
    home => open;
    /// A request of the desk's own.
    request => ask;
}

/// What there is to say of an enrolment at the desk.
pub(super) fn told(page: &Page, view: &View) -> Vec<(String, String)> {
    let mut told = vec![(page.text("enrol-fact-user"), view.user.clone())];
    let said = [("enrol-field-name", &view.info.name), ("field-email", &view.info.email)];
    let said = said.into_iter().filter_map(|(key, text)| Some((page.text(key), text.clone()?)));
    told.extend(said);
    if let Some(claimed) = view.info.organisation.as_ref().filter(|one| **one != view.row.organisation) {
        told.push((page.text("desk-fact-claims"), claimed.clone()));
    }
    told.push((page.text("enrol-fact-way"), way(page, view.row.order.method, view.row.order.target)));
    told.extend(facts(page, view));
    let [vetter, second] = &view.vetters;
    for (key, name) in [("desk-fact-vetter", vetter), ("desk-fact-second", second)] {
        told.extend(name.iter().map(|name| (page.text(key), name.clone())));
    }
    if let Some(reason) = &view.row.reason {
        told.push((page.text("desk-fact-reason"), reason.clone()));
    }
    told
}

fn card(page: &Page, view: &View) -> Card {
    let mut facts = told(page, view);
    let user = facts.remove(0).1;
    let open = Link {
        href: format!("/desk/vet/{}", handle(&view.row.order.id)),
        label: page.text("desk-open"),
        class: "option",
    };
    Card { heading: user, facts, note: None, links: vec![open], about: String::new(), others: Vec::new() }
}

fn open(here: &Here<'_>, _: Option<&Id>, given: &Given, _: bool) -> Result<Response, FlowError> {
    let wanted = Wanted {
        states: Some(FIRST.to_vec()),
        methods: Some(Method::ALL.iter().copied().filter(|method| method.needs_person()).collect()),
        sequence: Sequence::OpenFirst(given.of("after").and_then(Place::parse)),
        limit: SHOWN_MAX,
        ..Wanted::default()
    };
    let (views, next) = enrol::list(here.app, &here.clerk.caller, wanted)?;
    let mut sheet = here.sheet("desk-list", "desk-list-intro");
    // One whose time is over is shown no more, though nobody has written its end yet.
    let open = views.iter().filter(|view| FIRST.contains(&view.row.progress.state));
    sheet.cards = open.map(|view| card(&sheet.page, view)).collect();
    sheet.none = Some(sheet.page.text("desk-none"));
    if let Some(href) = further(HOME, next) {
        sheet = sheet.link(href, "enrol-further", "second");
    }
    Ok(sheet.answer())
}

fn form(here: &Here<'_>) -> Sheet {
    let sheet = here.sheet("desk-request", "desk-request-intro");
    let page = &sheet.page;
    let rules = &here.app.config.enrol;
    let columns = rules.policy.columns.iter();
    let columns = columns.filter(|one| one.method.needs_person() && rules.methods.contains(&one.method));
    let choices = columns.map(|column| Choice {
        value: format!("{}:{}", column.method.name(), column.level.name()),
        label: way(page, column.method, column.level),
    });
    let fields = vec![
        Field::line(page, "user", "field-name"),
        Field::pick(page, "way", "enrol-fact-way", choices.collect()),
        Field::line(page, "organisation", "enrol-fact-organisation").optional().at_most(64),
        Field::line(page, "name", "enrol-field-name").hinted(page, "enrol-field-name-hint").optional(),
    ];
    sheet.form("/desk/request", fields, "desk-request-go")
}

fn ask(here: &Here<'_>, _: Option<&Id>, given: &Given, posted: bool) -> Result<Response, FlowError> {
    if !posted {
        return Ok(form(here).answer());
    }
    match asked(here, given) {
        Ok(view) => Ok(Redirect::to(&format!("/desk/vet/{}", handle(&view.row.order.id))).into_response()),
        Err(error) => {
            let field = if matches!(error, FlowError::NotFound("user")) { "user" } else { "way" };
            let key = here.refused(error, "request", None)?;
            Ok(form(here).wrong(key, Some(field), given).answer())
        }
    }
}

fn asked(here: &Here<'_>, given: &Given) -> Result<View, FlowError> {
    let user = UserName::parse(&given.text("user")).map_err(|_| FlowError::NotFound("user"))?;
    let way = given.of("way").and_then(read_way);
    let (method, level) = way.ok_or_else(|| FlowError::Invalid("way: choose one".to_owned()))?;
    let mut info = Info::default();
    info.name = given.of("name").map(str::to_owned);
    let new = NewRequest {
        user,
        method,
        level: Some(level),
        factor_index: SECOND,
        channel: Some(Channel::Desk),
        organisation: given.of("organisation").map(str::to_owned),
        info,
    };
    enrol::request(here.app, &here.clerk.caller, new)
}
