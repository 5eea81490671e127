//! The receipt of a binding, to print: what was bound to whom, by whom and when. No secret and no document (D-48).

use axum::response::{IntoResponse, Redirect, Response};
use domain::enrol::{Activity, State};
use domain::token::Id;

use super::list::told;
use super::{Here, pages};
use crate::flows::enrol;
use crate::flows::{FlowError, handle};
use crate::ui::sheet::{Given, Sheet};
use crate::ui::when;

pages! {
    /// The receipt.
    page => receipt;
}

fn receipt(here: &Here<'_>, id: Option<&Id>, _: &Given, _: bool) -> Result<Response, FlowError> {
    let view = here.meant(id)?;
    let enrolment = view.row.order.id;
    if !matches!(view.row.progress.state, State::Active | State::Confirmed) {
        return Ok(Redirect::to(&format!("/desk/vet/{}", handle(&enrolment))).into_response());
    }
    let mut sheet = here.sheet("desk-receipt-title", "desk-receipt-intro");
    sheet.facts = told(&sheet.page, &view);
    sheet.facts.insert(0, (sheet.page.text("desk-fact-enrolment"), handle(&enrolment)));
    let steps = enrol::activities(here.app, &here.clerk.caller, &enrolment)?;
    let activated = steps.iter().map(|step| &step.row).find(|row| row.activity == Some(Activity::Activate));
    if let Some(row) = activated {
        let [_, by, _] = &row.actor;
        sheet.facts.push((sheet.page.text("desk-fact-activated"), when::shown(row.at)));
        sheet.facts.push((sheet.page.text("desk-fact-activated-by"), by.clone()));
    }
    sheet.page.script = true;
    let sheet = Sheet { prints: true, ..sheet };
    Ok(sheet.link(super::HOME, "desk-list", "second").answer())
}
