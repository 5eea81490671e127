//! Notices: a user is told of what was done to the account over another channel than the one it came by (D-36, D-42,
//! D-64). It knows the channels, not the occasions.

use std::collections::HashMap;
use std::time::Instant;

use domain::phone::Msisdn;
use domain::time::Now;
use domain::token::Id;
use parking_lot::Mutex;
use zeroize::Zeroizing;

use super::{FlowError, messages, phones, users};
use crate::appliance::Appliance;
use crate::bucket::{Allowance, Bucket};
use crate::mail;
use crate::store::outbox::MessageRow;
use crate::store::user::UserRow;

/// Notices to all users at once, and how many come back in a second: codes go out by the same modems.
const ALL: Allowance = Allowance { burst: 60.0, per_s: 0.5 };
/// Users that are remembered at the most; with more of them nobody else is told until some are forgotten.
const REMEMBERED_MAX: usize = 20_000;
/// Mails that are handed to the relay at a time.
const MAILS_MAX: usize = 8;
const DAY_S: f64 = 86_400.0;

/// What was sent of late, so that nobody makes the appliance send without end. A restart forgets it.
#[derive(Default)]
pub(crate) struct Budget(Mutex<Spent>);

#[derive(Default)]
struct Spent {
    all: Option<Bucket>,
    each: HashMap<Id, Bucket>,
    mails: usize,
}

impl Budget {
    /// Takes a notice to a user, who gets `per_day` of them; false when none is left.
    pub(super) fn take(&self, user: &Id, per_day: u32, now: Instant) -> bool {
        let each = Allowance { burst: f64::from(per_day), per_s: f64::from(per_day) / DAY_S };
        let mut spent = self.0.lock();
        if spent.each.len() >= REMEMBERED_MAX && !spent.each.contains_key(user) {
            spent.each.retain(|_, bucket| !bucket.is_full(each, now));
            if spent.each.len() >= REMEMBERED_MAX {
                return false;
            }
        }
        spent.each.entry(*user).or_insert_with(|| Bucket::full(each, now)).take(each, now)
            && spent.all.get_or_insert_with(|| Bucket::full(ALL, now)).take(ALL, now)
    }

    /// Begins to hand a mail to the relay; false while too many are under way.
    pub(super) fn begin_mail(&self) -> bool {
        let mut spent = self.0.lock();
        let free = spent.mails < MAILS_MAX;
        spent.mails += usize::from(free);
        free
    }

    /// A mail that was begun is done, whatever came of it.
    pub(super) fn end_mail(&self) {
        let mut spent = self.0.lock();
        spent.mails = spent.mails.saturating_sub(1);
    }
}

/// A text message to the user's verified number; none without one, or without a modem.
///
/// # Errors
/// When the HSM or the store cannot answer; [`FlowError::Tampered`].
pub(super) fn sms(
    app: &Appliance,
    owner: &UserRow,
    words: &str,
    now: &Now,
) -> Result<Option<MessageRow>, FlowError> {
    if app.config.modems.is_empty() {
        return Ok(None);
    }
    let bound = phones::of_user(app, &owner.id)?.filter(|bound| bound.state == phones::VERIFIED);
    let Some(bound) = bound else { return Ok(None) };
    let number: Msisdn = users::open_number(app, owner, &bound.number)?;
    messages::row(app, &number, words, messages::EXPIRY_MAX_MS, now).map(Some)
}

/// The user's mail address; none without one, or without a relay.
///
/// # Errors
/// When the HSM cannot answer.
pub(super) fn mail_address(app: &Appliance, owner: &UserRow) -> Result<Option<Zeroizing<String>>, FlowError> {
    let (Some(_), Some(key), Some(sealed)) = (&app.config.people.mail, &owner.person_key, &owner.email)
    else {
        return Ok(None);
    };
    let clear = app.hsm.open(key, &users::email_aad(&owner.id), sealed)?;
    Ok(std::str::from_utf8(&clear).ok().map(|address| Zeroizing::new(address.to_owned())))
}

/// Hands a mail to the relay, which takes up to its deadline; false where it did not take it.
pub(super) fn hand_over(app: &Appliance, to: &str, subject: &str, body: &str) -> bool {
    let Some(relay) = &app.config.people.mail else { return false };
    let sent = mail::send(relay, to, subject, body);
    if let Err(error) = &sent {
        tracing::warn!(%error, "a notice by mail was not taken");
    }
    sent.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// D-42. Red when whoever is denied again and again makes a user's phone ring without end, or uses up what is for
    /// others.
    #[test]
    fn a_user_is_told_so_often_a_day() {
        let (budget, now) = (Budget::default(), Instant::now());
        assert_eq!((0..50).filter(|_| budget.take(&[1; 16], 5, now)).count(), 5);
        assert!(budget.take(&[2; 16], 5, now));
        let later = now + Duration::from_secs(86_400 / 5 + 1);
        assert_eq!((0..50).filter(|_| budget.take(&[1; 16], 5, later)).count(), 1);
    }

    /// A10. Red when notices hold up codes: all of them together have a bound.
    #[test]
    fn all_together_have_a_bound() {
        let (budget, now) = (Budget::default(), Instant::now());
        let sent = (0..=255u8).filter(|n| budget.take(&[*n; 16], 100, now)).count();
        assert!(sent <= 60, "{sent}");
    }

    /// Red when a relay that hangs takes a thread for every notice.
    #[test]
    fn mails_under_way_have_a_bound() {
        let budget = Budget::default();
        assert_eq!((0..20).filter(|_| budget.begin_mail()).count(), MAILS_MAX);
        budget.end_mail();
        assert!(budget.begin_mail() && !budget.begin_mail());
    }
}
