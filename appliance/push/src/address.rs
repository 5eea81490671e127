//! Push addresses (C.11): what a phone gave as its `deviceId`, told apart by its shape, and where we may send to.
//!
//! A phone chooses the address, so that the appliance could be made to call whatever it can reach. Three things keep
//! it from that: an address has one narrow spelling, in which no two readers see different hosts; the host must be
//! allowed by a rule; and a numeric host is allowed only by a rule that names it. What a name resolves to is the
//! sender's to look at.

use std::net::{Ipv4Addr, Ipv6Addr};

use thiserror::Error;

use crate::content::Keys;

/// Longest address without its fragment, in bytes (UnifiedPush AND_3.0.0).
pub const URL_MAX: usize = 1_000;
/// Longest name of a poll queue, in bytes.
pub const QUEUE_MAX: usize = 64;
/// Rules of one list.
pub const RULES_MAX: usize = 64;
/// Longest name of a host, in bytes (RFC 1035).
const HOST_MAX: usize = 253;
/// Longest part of one, in bytes.
const LABEL_MAX: usize = 63;
/// Letters and digits of an ntfy topic behind `up`.
const TOPIC_LEN: usize = 12;

/// Why an address is not used.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum AddressError {
    /// Too long.
    #[error("the push address is too long")]
    TooLong,
    /// Not a scheme that is known.
    #[error("the push address has another scheme than https")]
    Scheme,
    /// Not in the one spelling that every reader takes alike.
    #[error("the push address is not spelt plainly")]
    Spelling,
    /// Keys behind it that are none.
    #[error("the push address carries keys that are none")]
    Keys,
    /// No rule allows the host, the port or the lack of TLS.
    #[error("no rule allows this push address")]
    NotAllowed,
}

/// Where a push goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// UnifiedPush or Web Push (RFC 8030); encrypted if the phone gave keys.
    WebPush(Url, Option<Keys>),
    /// A topic of an ntfy server that the address names.
    NtfyUrl(Url),
    /// A topic of the configured ntfy server.
    NtfyTopic(String),
    /// The phone fetches it.
    Poll(String),
    /// A token of Google's or Apple's service.
    Vendor,
}

impl Route {
    /// Tells an address apart by its shape.
    ///
    /// # Errors
    /// [`AddressError`] for one that looks like an address and is none; what looks like nothing is a vendor's token.
    pub fn of(address: &str) -> Result<Self, AddressError> {
        if let Some(topic) = address.strip_prefix("ntfy:") {
            return is_topic(topic).then(|| Route::NtfyTopic(topic.to_owned())).ok_or(AddressError::Spelling);
        }
        if let Some(queue) = address.strip_prefix("poll:") {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            let good = (1..=QUEUE_MAX).contains(&queue.len()) && queue.bytes().all(plain);
            return good.then(|| Route::Poll(queue.to_owned())).ok_or(AddressError::Spelling);
        }
        if !address.contains("://") && !address.contains(['/', '\\']) {
            return Ok(Route::Vendor);
        }
        let (url, fragment) = match address.split_once('#') {
            Some((url, fragment)) => (Url::parse(url)?, Some(fragment)),
            None => (Url::parse(address)?, None),
        };
        if fragment.is_none() && url.is_ntfy() {
            return Ok(Route::NtfyUrl(url));
        }
        let keys = fragment.map(|text| keys(text).ok_or(AddressError::Keys)).transpose()?;
        Ok(Route::WebPush(url, keys))
    }
}

fn is_topic(text: &str) -> bool {
    let own = text.strip_prefix("up");
    own.is_some_and(|own| own.len() == TOPIC_LEN && own.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// `p256dh=…&auth=…`, in this order.
fn keys(fragment: &str) -> Option<Keys> {
    let (p256dh, auth) = fragment.split_once('&')?;
    Keys::parse(p256dh.strip_prefix("p256dh=")?, auth.strip_prefix("auth=")?).ok()
}

/// A host in its one spelling.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    Name(String),
    V4(Ipv4Addr),
    V6(Ipv6Addr),
}

impl Host {
    fn parse(text: &str) -> Option<Self> {
        if let Some(inner) = text.strip_prefix('[') {
            return inner.strip_suffix(']')?.parse().ok().map(Host::V6);
        }
        let label = |label: &str| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            let edges = !label.starts_with('-') && !label.ends_with('-');
            (1..=LABEL_MAX).contains(&label.len()) && edges && label.bytes().all(plain)
        };
        if text.len() > HOST_MAX || !text.split('.').all(label) {
            return None;
        }
        let lower = text.to_ascii_lowercase();
        let last = lower.rsplit('.').next()?;
        // Readers take such a host for a number: in octal, in hexadecimal, with parts left out. Here it has four parts.
        if last.starts_with("0x") || last.bytes().all(|byte| byte.is_ascii_digit()) {
            return lower.parse().ok().map(Host::V4);
        }
        Some(Host::Name(lower))
    }

    fn is_loopback(&self) -> bool {
        match self {
            Host::Name(name) => name == "localhost",
            Host::V4(address) => address.is_loopback(),
            Host::V6(address) => address.is_loopback(),
        }
    }

    fn text(&self) -> String {
        match self {
            Host::Name(name) => name.clone(),
            Host::V4(address) => address.to_string(),
            Host::V6(address) => format!("[{address}]"),
        }
    }
}

/// Host and port of an authority; the port is `default` where there is none.
fn host_and_port(authority: &str, default: u16) -> Option<(Host, u16)> {
    let port_at = authority.rfind(':').filter(|at| !authority[*at..].contains(']'));
    let (host, port) = match port_at {
        None => (authority, default),
        Some(at) => {
            let digits = &authority[at + 1..];
            let plain = !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit());
            (&authority[..at], digits.parse().ok().filter(|_| plain)?)
        }
    };
    Some((Host::parse(host)?, port))
}

/// An address of a web service, in a spelling that every reader takes alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    tls: bool,
    host: Host,
    port: u16,
    /// Path and query, beginning with `/`.
    target: String,
}

impl Url {
    /// Reads an address: scheme, host, port, path and query; no user, no fragment, no escape in the host, no
    /// backslash anywhere.
    ///
    /// # Errors
    /// [`AddressError`].
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if text.len() > URL_MAX {
            return Err(AddressError::TooLong);
        }
        let plain = |byte: u8| byte.is_ascii_graphic() && !b"\\\"<>^`{|}#'".contains(&byte);
        if !text.bytes().all(plain) {
            return Err(AddressError::Spelling);
        }
        let (tls, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return Err(AddressError::Scheme),
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let default = if tls { 443 } else { 80 };
        let (host, port) = host_and_port(authority, default).ok_or(AddressError::Spelling)?;
        let slash = if target.starts_with('/') { "" } else { "/" };
        Ok(Url { tls, host, port, target: format!("{slash}{target}") })
    }

    /// Scheme, host, and the port unless it is the scheme's (RFC 6454).
    pub fn origin(&self) -> String {
        let (scheme, usual) = if self.tls { ("https", 443) } else { ("http", 80) };
        let host = self.host.text();
        if self.port == usual {
            format!("{scheme}://{host}")
        } else {
            format!("{scheme}://{host}:{}", self.port)
        }
    }

    /// The host, as a client resolves it; an IPv6 address in brackets.
    pub fn host(&self) -> String {
        self.host.text()
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether TLS is spoken.
    pub fn tls(&self) -> bool {
        self.tls
    }

    /// Path and query, as they are asked for.
    pub fn target(&self) -> &str {
        &self.target
    }

    fn is_ntfy(&self) -> bool {
        let topic = self.target.strip_suffix("?up=1").and_then(|path| path.rsplit('/').next());
        topic.is_some_and(is_topic)
    }
}

/// One rule: `push.example.org`, `.example.org` for every host below it, either with `:port`. Without a port the
/// scheme's own is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    host: Host,
    below: bool,
    port: Option<u16>,
}

/// Where pushes may be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowList {
    rules: Vec<Rule>,
    plain_loopback: bool,
}

impl AllowList {
    /// A list of rules. With `plain_loopback`, `http://` is allowed to this machine, where a rule names it.
    ///
    /// # Errors
    /// The first text that is no rule, or one too many.
    pub fn parse<'a>(rules: &[&'a str], plain_loopback: bool) -> Result<Self, &'a str> {
        if let Some(surplus) = rules.get(RULES_MAX) {
            return Err(surplus);
        }
        let rule = |text: &&'a str| {
            let (below, name) = text.strip_prefix('.').map_or((false, *text), |name| (true, name));
            let (host, port) = host_and_port(name, 0).ok_or(*text)?;
            match (&host, below) {
                // A rule for everything below a top-level domain, or below a number, is a mistake.
                (Host::Name(name), true) if !name.contains('.') => Err(*text),
                (Host::V4(_) | Host::V6(_), true) => Err(*text),
                _ => Ok(Rule { host, below, port: Some(port).filter(|port| *port != 0) }),
            }
        };
        let rules = rules.iter().map(rule).collect::<Result<_, _>>()?;
        Ok(AllowList { rules, plain_loopback })
    }

    /// Whether an address may be sent to.
    ///
    /// # Errors
    /// [`AddressError::NotAllowed`].
    pub fn check(&self, url: &Url) -> Result<(), AddressError> {
        let secure = url.tls || (self.plain_loopback && url.host.is_loopback());
        let usual = if url.tls { 443 } else { 80 };
        let matches = |rule: &Rule| {
            let host = match (&rule.host, &url.host) {
                (Host::Name(suffix), Host::Name(name)) if rule.below => {
                    name.strip_suffix(suffix.as_str()).is_some_and(|head| head.ends_with('.'))
                }
                (own, host) => !rule.below && own == host,
            };
            host && rule.port.unwrap_or(usual) == url.port
        };
        if secure && self.rules.iter().any(matches) { Ok(()) } else { Err(AddressError::NotAllowed) }
    }
}
