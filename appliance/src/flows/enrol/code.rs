//! The registration code: it identifies a request when its applicant comes to be vetted (BIND-34).

use domain::enrol::{Activity, DRAW_LEN, EnrolCode, Refusal};
use domain::event::Event;
use domain::token::Id;
use hsm::{HsmError, MacPurpose};
use zeroize::Zeroizing;

use super::notice;
use super::view::{self, View};
use super::work::{Doing, Work, check};
use crate::appliance::Appliance;
use crate::clock::rfc3339;
use crate::flows::{Caller, FlowError};
use crate::store::{appointment, enrolment};

/// Milliseconds of a day.
const DAY_MS: i64 = 24 * 3_600_000;
/// Codes that nobody has, which one person may type in [`MISS_WINDOW_MS`].
const MISSES_MAX: u64 = 10;
/// The time in which they are counted, in milliseconds.
const MISS_WINDOW_MS: i64 = 15 * 60 * 1000;
/// Characters of a date in RFC 3339.
const DATE_LEN: usize = 10;

fn data(code: &EnrolCode) -> Vec<u8> {
    [b"countersign registration code 1".as_slice(), code.expose()].concat()
}

fn mac_of(app: &Appliance, code: &EnrolCode) -> Result<[u8; 32], FlowError> {
    let macs = app.hsm.mac(MacPurpose::Lookup, vec![data(code)])?;
    Ok(*macs.first().ok_or(HsmError::Protocol)?)
}

/// The end of the day on which a code made now is valid for the last time, in UTC.
fn end_of(now_ms: i64, days: u32) -> i64 {
    (now_ms.div_euclid(DAY_MS) + i64::from(days) + 1) * DAY_MS
}

/// A registration code, in clear for the one who asked, and where else it went.
pub struct Issued {
    /// The enrolment.
    pub view: View,
    /// In two groups.
    pub code: Zeroizing<String>,
    /// Whether it went to the user by mail.
    pub mailed: bool,
}

/// 5: a registration code is made. It is shown once; the store has its HMAC.
///
/// # Errors
/// [`FlowError::Enrol`] where the method has none, or something has to be done before.
pub fn issue(app: &Appliance, caller: &Caller, id: &Id, by_mail: bool) -> Result<Issued, FlowError> {
    let mut work = Work::open(app, caller, id)?;
    work.for_applicant("enrol.code_issued")?;
    let code = EnrolCode::draw(app.random::<DRAW_LEN>()?);
    let mac = mac_of(app, &code)?;
    let until = end_of(work.now.steady_ms, app.config.enrol.code_valid_days);
    let judged = work.progress().code_issued(&work.rules(), until);
    let doing = Doing::new("enrol.code_issued", Activity::Arrange);
    if let Err(refusal) = judged {
        return Err(work.refuse(doing, refusal)?);
    }
    let last_day: String = rfc3339(until - DAY_MS).chars().take(DATE_LEN).collect();
    let grouped = code.grouped();
    let mailed = by_mail && {
        let (texts, lang) = (&app.config.texts, &work.owner.lang);
        let values = [("code", grouped.as_str()), ("until", last_day.as_str())];
        let body = Zeroizing::new(texts.text(lang, "enrol-mail-code", &values));
        notice::by_mail(&work, &texts.text(lang, "enrol-mail-subject", &[]), &body)?
    };
    work.row.code_mac = Some(mac);
    work.row.reminded_at = None;
    let sent = if mailed { "email" } else { "page" };
    work.go(doing.about("channel", sent).about("until", last_day).input(&mac), judged)?;
    let row = work.commit(|_| Ok(()))?;
    Ok(Issued { view: view::of(app, caller, row)?, code: grouped, mailed })
}

/// The enrolment that waits under a registration code.
///
/// # Errors
/// [`FlowError::Enrol`] for a code under which nobody waits; [`FlowError::RateLimited`] after too many of them. Both
/// are events.
pub(super) fn waiting(app: &Appliance, caller: &Caller, typed: &str) -> Result<Id, FlowError> {
    let now = app.clock.now();
    let who = format!("{} {}", caller.actor.kind, caller.actor.id);
    let since = now.steady_ms.saturating_sub(MISS_WINDOW_MS);
    let refused =
        |reason: &str| app.refuse(Event::refused(now.wall_ms, "enrol.vetting", caller.actor.clone(), reason));
    if app.store.read(|c| appointment::misses(c, &who, since))? >= MISSES_MAX {
        refused("limited")?;
        return Err(FlowError::RateLimited);
    }
    // The same work for a text that can be no code.
    let parsed = EnrolCode::parse(typed).ok();
    let asked = parsed.clone().unwrap_or_else(|| EnrolCode::draw([0; DRAW_LEN]));
    let mac = mac_of(app, &asked)?;
    let found = app.store.read(|c| enrolment::by_code(c, &mac))?.filter(|_| parsed.is_some());
    match found {
        Some(row) => {
            check(app, &row)?;
            Ok(row.order.id)
        }
        None => {
            refused(Refusal::UnknownCode.code())?;
            app.store.write(move |w| {
                appointment::count_miss(w, &who, now.steady_ms, now.steady_ms.saturating_sub(DAY_MS))
            })?;
            Err(Refusal::UnknownCode.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// BIND-34: a code is valid to the end of its last day, whenever on its first day it was made.
    #[test]
    fn a_code_lives_to_the_end_of_a_day() {
        assert_eq!(end_of(0, 14), 15 * DAY_MS);
        assert_eq!(end_of(DAY_MS - 1, 14), 15 * DAY_MS);
        assert_eq!(end_of(DAY_MS, 1), 3 * DAY_MS);
    }
}
