//! `[push.notice]`: over which channels a user is told of what was done with phones and recovery codes, and how often
//! (D-36, D-42).

use serde::Deserialize;
use toml::Spanned;

use super::check::Checker;

/// Notices to a user in a day, unless said otherwise.
const PER_DAY: u32 = 5;
const PER_DAY_RANGE: std::ops::RangeInclusive<u32> = 1..=100;

/// A channel that is not the phone's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// A text message to the verified number.
    Sms,
    /// A mail to the user's address.
    Email,
}

impl Channel {
    /// As the file and events spell it.
    pub fn name(self) -> &'static str {
        match self {
            Channel::Sms => "sms",
            Channel::Email => "email",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Channel::Sms, Channel::Email].into_iter().find(|channel| channel.name() == name)
    }
}

/// How users are told.
#[derive(Clone, Debug, PartialEq)]
pub struct Notices {
    /// The first one by which the user can be reached is taken; none tells nobody.
    pub channels: Vec<Channel>,
    /// Notices to a user in a day.
    pub per_day: u32,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    channels: Option<Vec<Spanned<String>>>,
    per_day: Option<Spanned<u32>>,
}

pub(super) fn check(c: &mut Checker<'_>, table: Table) -> Notices {
    let mut channels = Vec::new();
    match table.channels {
        None => channels.extend([Channel::Sms, Channel::Email]),
        Some(named) => {
            for name in named {
                match Channel::from_name(name.get_ref()) {
                    Some(channel) if !channels.contains(&channel) => channels.push(channel),
                    Some(_) => c.find(&name, "push.notice.channels", "is there twice"),
                    None => c.find(&name, "push.notice.channels", "must be sms or email"),
                }
            }
        }
    }
    let per_day = table.per_day.as_ref().map_or(PER_DAY, |n| *n.get_ref());
    if let Some(wrong) = table.per_day.filter(|n| !PER_DAY_RANGE.contains(n.get_ref())) {
        let (least, most) = PER_DAY_RANGE.into_inner();
        c.find(&wrong, "push.notice.per_day", format!("must be {least} to {most}"));
    }
    Notices { channels, per_day }
}
