//! Notices: a user is told of what was done to the account over another channel than the one it came by (D-36, D-42,
//! D-64). It knows the channels, not the occasions.

use std::collections::HashMap;
use std::io;
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

/// Notices of acts to all users at once, and how many come back in a second: codes go out by the same modems.
const ACTS: Allowance = Allowance { burst: 60.0, per_s: 0.5 };
/// The same for notices of denials.
const DENIALS: Allowance = Allowance { burst: 20.0, per_s: 0.1 };
/// Users that are remembered at the most; with more of them nobody else is told until some are forgotten.
const REMEMBERED_MAX: usize = 20_000;
/// Mails that are handed to the relay at a time.
const MAILS_MAX: usize = 8;
const DAY_S: f64 = 86_400.0;

/// What a notice counts as. Whoever knows a password makes a person deny without end: that must not use up what tells of
/// a phone that takes the place of theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purse {
    /// What was done to the account (D-36, C.5).
    Acts,
    /// What was refused on the phone (D-42).
    Denials,
}

impl Purse {
    fn of_all(self) -> Allowance {
        match self {
            Purse::Acts => ACTS,
            Purse::Denials => DENIALS,
        }
    }
}

/// What was sent of late, so that nobody makes the appliance send without end. A restart forgets it.
#[derive(Default)]
pub(crate) struct Budget(Mutex<Spent>);

#[derive(Default)]
struct Spent {
    acts: Sent,
    denials: Sent,
    mails: usize,
}

/// What is left of one purse.
#[derive(Default)]
struct Sent {
    all: Option<Bucket>,
    each: HashMap<Id, Bucket>,
}

impl Budget {
    /// Takes a notice to a user, who gets `per_day` of this purse; false when none is left.
    pub(super) fn take(&self, purse: Purse, user: &Id, per_day: u32, now: Instant) -> bool {
        let each = Allowance { burst: f64::from(per_day), per_s: f64::from(per_day) / DAY_S };
        let all = purse.of_all();
        let mut spent = self.0.lock();
        let sent = match purse {
            Purse::Acts => &mut spent.acts,
            Purse::Denials => &mut spent.denials,
        };
        if sent.each.len() >= REMEMBERED_MAX && !sent.each.contains_key(user) {
            sent.each.retain(|_, bucket| !bucket.is_full(each, now));
            if sent.each.len() >= REMEMBERED_MAX {
                return false;
            }
        }
        let own = sent.each.entry(*user).or_insert_with(|| Bucket::full(each, now));
        if !own.take(each, now) {
            return false;
        }
        let among_all = sent.all.get_or_insert_with(|| Bucket::full(all, now)).take(all, now);
        if !among_all {
            own.put_back(each);
        }
        among_all
    }

    /// Hands a mail over by what `begin` begins, which says by [`Budget::end_mail`] when it is done. False while too many
    /// are under way, and where it could not be begun: then it is not sent, and counts no longer.
    pub(super) fn hand_mail(&self, begin: impl FnOnce() -> io::Result<()>) -> bool {
        if !self.begin_mail() {
            return false;
        }
        let begun = begin();
        if let Err(error) = &begun {
            tracing::error!(%error, "a notice by mail could not be begun");
            self.end_mail();
        }
        begun.is_ok()
    }

    fn begin_mail(&self) -> bool {
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
        let told = |user, now| (0..50).filter(|_| budget.take(Purse::Acts, user, 5, now)).count();
        assert_eq!(told(&[1; 16], now), 5);
        assert!(budget.take(Purse::Acts, &[2; 16], 5, now));
        assert_eq!(told(&[1; 16], now + Duration::from_secs(86_400 / 5 + 1)), 1);
    }

    /// D-36, D-42. Red when denials without end, of one person or of many, keep a person from being told that another phone
    /// takes the place of theirs.
    #[test]
    fn denials_use_up_their_own() {
        let (budget, now) = (Budget::default(), Instant::now());
        let denied = |n: u8| (0..50).filter(|_| budget.take(Purse::Denials, &[n; 16], 3, now)).count();
        assert_eq!(denied(1), 3);
        let all: usize = (2..=255).map(denied).sum();
        assert!(all <= 20, "{all}");
        assert!(budget.take(Purse::Acts, &[1; 16], 5, now));
    }

    /// A10. Red when notices hold up codes: all of them together have a bound.
    #[test]
    fn all_together_have_a_bound() {
        let (budget, now) = (Budget::default(), Instant::now());
        let sent = (0..=255u8).filter(|n| budget.take(Purse::Acts, &[*n; 16], 100, now)).count();
        assert!(sent <= 60, "{sent}");
    }

    /// Red when a user whom the bound on all keeps from being told has spent the own notices on it.
    #[test]
    fn what_is_not_sent_is_not_spent() {
        let (budget, now) = (Budget::default(), Instant::now());
        let (user, others) = ([0; 16], 1..=255u8);
        for other in others {
            budget.take(Purse::Acts, &[other; 16], 1, now);
        }
        assert!((0..50).all(|_| !budget.take(Purse::Acts, &user, 1, now)));
        assert!(budget.take(Purse::Acts, &user, 1, now + Duration::from_secs(3)));
    }

    /// Red when a relay that hangs takes a thread for every notice.
    #[test]
    fn mails_under_way_have_a_bound() {
        let budget = Budget::default();
        assert_eq!((0..20).filter(|_| budget.hand_mail(|| Ok(()))).count(), MAILS_MAX);
        budget.end_mail();
        assert!(budget.hand_mail(|| Ok(())) && !budget.hand_mail(|| Ok(())));
    }

    /// Red when a mail whose thread could not be begun counts as under way for ever, or as sent.
    #[test]
    fn a_mail_that_could_not_be_begun_is_not_under_way() {
        let budget = Budget::default();
        let full = || Err(io::Error::from(io::ErrorKind::WouldBlock));
        assert!((0..20).all(|_| !budget.hand_mail(full)));
        assert!(budget.hand_mail(|| Ok(())));
    }
}
