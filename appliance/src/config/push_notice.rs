//! `[push.notice]`: over which channels a user is told of what was done with phones and recovery codes, and how often
//! (D-36, D-42).

use serde::Deserialize;
use toml::Spanned;

use super::check::Checker;

/// Notices to a user in a day, unless said otherwise.
const PER_DAY: u32 = 5;
/// Notices of denials to a user in a day, unless said otherwise.
const DENIED_PER_DAY: u32 = 3;
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
    /// Notices of acts to a user in a day.
    pub per_day: u32,
    /// Notices of denials to a user in a day, beside those.
    pub denied_per_day: u32,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    channels: Option<Vec<Spanned<String>>>,
    per_day: Option<Spanned<u32>>,
    denied_per_day: Option<Spanned<u32>>,
}

fn per_day(c: &mut Checker<'_>, key: &str, named: Option<Spanned<u32>>, usual: u32) -> u32 {
    let per_day = named.as_ref().map_or(usual, |n| *n.get_ref());
    if let Some(wrong) = named.filter(|n| !PER_DAY_RANGE.contains(n.get_ref())) {
        let (least, most) = PER_DAY_RANGE.into_inner();
        c.find(&wrong, key, format!("must be {least} to {most}"));
    }
    per_day
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
    Notices {
        channels,
        per_day: per_day(c, "push.notice.per_day", table.per_day, PER_DAY),
        denied_per_day: per_day(c, "push.notice.denied_per_day", table.denied_per_day, DENIED_PER_DAY),
    }
}
