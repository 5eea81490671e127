//! A user is told that a phone was bound or has moved, that a recovery code was used, that pushes are denied: never by the
//! phone that it is about (C.5, D-36, D-42). That nobody can be told keeps nothing from happening.

use std::thread;
use std::time::Instant;

use domain::event::{Actor, Event};
use zeroize::Zeroizing;

use super::super::FlowError;
use super::super::notices::{self, Purse};
use super::PHONES;
use crate::appliance::Appliance;
use crate::config::push_notice::{Channel, Notices};
use crate::store::outbox::{self, MessageRow};
use crate::store::user::UserRow;
use crate::store::{StoreError, Writing, event};

const SENT: &str = "notice.sent";
const NOT_SENT: &str = "notice.not_sent";

/// What the user is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Occasion {
    /// A recovery code was used (D-36).
    RecoveryUsed {
        /// Codes left.
        left: usize,
    },
    /// Pushes were denied again (D-42).
    Denied,
    /// A phone, or an app for codes, was bound.
    PhoneBound,
    /// The same in place of a former one.
    PhoneReplaced,
    /// A phone said a new push address (C.5).
    PhoneMoved,
}

impl Occasion {
    fn name(self) -> &'static str {
        match self {
            Occasion::RecoveryUsed { .. } => "recovery_used",
            Occasion::Denied => "push_denied",
            Occasion::PhoneBound => "phone_bound",
            Occasion::PhoneReplaced => "phone_replaced",
            Occasion::PhoneMoved => "phone_moved",
        }
    }

    /// Whose purse pays for it, and how often a day.
    fn purse(self, settings: &Notices) -> (Purse, u32) {
        match self {
            Occasion::Denied => (Purse::Denials, settings.denied_per_day),
            Occasion::RecoveryUsed { .. }
            | Occasion::PhoneBound
            | Occasion::PhoneReplaced
            | Occasion::PhoneMoved => (Purse::Acts, settings.per_day),
        }
    }

    fn words(self, app: &Appliance, lang: &str) -> String {
        let texts = &app.config.texts;
        match self {
            Occasion::RecoveryUsed { left } => {
                texts.text(lang, "notice-recovery-used", &[("left", &left.to_string())])
            }
            Occasion::Denied => texts.text(lang, "notice-push-denied", &[]),
            Occasion::PhoneBound => texts.text(lang, "notice-phone-bound", &[]),
            Occasion::PhoneReplaced => texts.text(lang, "notice-phone-replaced", &[]),
            Occasion::PhoneMoved => texts.text(lang, "notice-phone-moved", &[]),
        }
    }
}

/// What is written with the act itself.
#[derive(Clone, Default)]
pub(super) struct Told {
    message: Option<MessageRow>,
    event: Option<Event>,
}

impl Told {
    /// Writes it, in the act's own transaction.
    ///
    /// # Errors
    /// SQLite's.
    pub(super) fn write(&self, writing: &mut Writing<'_>) -> Result<(), StoreError> {
        if let Some(message) = &self.message {
            outbox::insert(writing, message)?;
        }
        self.event.as_ref().map_or(Ok(()), |one| event::append(writing, one).map(drop))
    }
}

struct Mail {
    to: Zeroizing<String>,
    subject: String,
    body: String,
    sent: Event,
    not_sent: Event,
}

/// A notice that is prepared.
pub(super) struct Notice {
    /// To be written with the act.
    pub(super) told: Told,
    mail: Option<Mail>,
}

impl Notice {
    /// Prepares a notice. It never fails: what keeps it from being sent is its event.
    pub(super) fn of(app: &Appliance, owner: &UserRow, occasion: Occasion) -> Notice {
        match Notice::planned(app, owner, occasion) {
            Ok(notice) => notice,
            Err(error) => {
                tracing::warn!(%error, "a user cannot be told");
                Notice::untold(app, owner, occasion, "unavailable")
            }
        }
    }

    fn planned(app: &Appliance, owner: &UserRow, occasion: Occasion) -> Result<Notice, FlowError> {
        let none = || Notice { told: Told::default(), mail: None };
        let Some(settings) = app.config.push.as_ref().map(|push| &push.notice) else { return Ok(none()) };
        if settings.channels.is_empty() {
            return Ok(none());
        }
        let (purse, per_day) = occasion.purse(settings);
        if !app.notices.take(purse, &owner.id, per_day, Instant::now()) {
            return Ok(Notice::untold(app, owner, occasion, "limited"));
        }
        let (now, words) = (app.clock.now(), occasion.words(app, &owner.lang));
        let sent = |channel: Channel| {
            let event = Event::ok(now.wall_ms, SENT, Actor::system(PHONES));
            about(event, owner, occasion).about("channel", channel.name())
        };
        for channel in &settings.channels {
            match channel {
                Channel::Sms => {
                    if let Some(message) = notices::sms(app, owner, &words, &now)? {
                        let told = Told { message: Some(message), event: Some(sent(Channel::Sms)) };
                        return Ok(Notice { told, mail: None });
                    }
                }
                Channel::Email => {
                    if let Some(to) = notices::mail_address(app, owner)? {
                        let not_sent = refusal(app, owner, occasion, "relay");
                        let not_sent = not_sent.about("channel", Channel::Email.name());
                        let subject = app.config.texts.text(&owner.lang, "notice-mail-subject", &[]);
                        let sent = sent(Channel::Email);
                        let mail = Mail { to, subject, body: words, sent, not_sent };
                        return Ok(Notice { told: Told::default(), mail: Some(mail) });
                    }
                }
            }
        }
        Ok(Notice::untold(app, owner, occasion, "no_channel"))
    }

    fn untold(app: &Appliance, owner: &UserRow, occasion: Occasion, reason: &'static str) -> Notice {
        let event = refusal(app, owner, occasion, reason);
        let event = app.refusals.pass(event, &owner.user_ref, app.clock.now().boot_ms);
        Notice { told: Told { message: None, event }, mail: None }
    }

    /// Sends it, once the act is written. Who asked for the act does not wait for a mail.
    pub(super) fn go(self, app: &Appliance) {
        if self.told.message.is_some() {
            app.bell.ring();
        }
        let Some(mail) = self.mail else { return };
        let (own, not_sent) = (app.under(app.config.clone()), mail.not_sent.clone());
        let sending = move || {
            let taken = notices::hand_over(&own, &mail.to, &mail.subject, &mail.body);
            own.notices.end_mail();
            note(&own, if taken { mail.sent } else { mail.not_sent });
        };
        let begin = || thread::Builder::new().name("notice".to_owned()).spawn(sending).map(drop);
        if !app.notices.hand_mail(begin) {
            note(app, not_sent);
        }
    }
}

fn about(event: Event, owner: &UserRow, occasion: Occasion) -> Event {
    event.about("user_ref", &owner.user_ref).about("notice", occasion.name())
}

fn refusal(app: &Appliance, owner: &UserRow, occasion: Occasion, reason: &'static str) -> Event {
    let event = Event::refused(app.clock.now().wall_ms, NOT_SENT, Actor::system(PHONES), reason);
    about(event, owner, occasion)
}

fn note(app: &Appliance, event: Event) {
    if let Err(error) = app.refuse(event) {
        tracing::error!(%error, "the event of a notice could not be written");
    }
}
