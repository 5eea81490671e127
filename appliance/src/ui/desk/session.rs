//! Who sits at the desk in which browser: a cookie of its own, which names a seat in memory. A daemon that starts anew
//! has no seats: everybody logs in again.

use std::collections::HashMap;
use std::sync::LazyLock;

use axum::http::{HeaderMap, HeaderValue};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use domain::enrol::Level;
use domain::names::UserName;
use domain::time::Now;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::ui::browser::cookie;

/// The seat of a browser.
const SEAT: &str = "countersign-desk";
/// A browser that is about to log in.
const DOOR: &str = "countersign-desk-door";
/// A seat is free again after this long without a visit, in milliseconds.
const IDLE_MS: u64 = 15 * 60 * 1000;
/// And after this long in any case, in milliseconds (B.4.2).
const SEAT_MS: u64 = 60 * 60 * 1000;
/// How long a login may take, in seconds: as long as a flow lives.
const DOOR_AGE_S: u32 = 15 * 60;
/// Seats at the most; then the one that was not used for longest is free again.
const SEATS_MAX: usize = 1_000;

/// What only one browser knows.
#[derive(Clone, Copy)]
pub(super) struct Token([u8; 32]);

struct Seat {
    name: UserName,
    level: Level,
    used: u64,
    at_most: u64,
}

static SEATS: LazyLock<Mutex<HashMap<[u8; 32], Seat>>> = LazyLock::new(|| Mutex::new(HashMap::new()));

fn is_over(seat: &Seat, now: &Now) -> bool {
    now.boot_ms >= seat.at_most || now.boot_ms.saturating_sub(seat.used) >= IDLE_MS
}

impl Token {
    /// A fresh one.
    pub(super) fn of_random(random: [u8; 32]) -> Self {
        Token(random)
    }

    fn read(headers: &HeaderMap, name: &str) -> Option<Self> {
        let bytes = BASE64URL_NOPAD.decode(cookie(headers, name)?.as_bytes()).ok()?;
        Some(Token(bytes.try_into().ok()?))
    }

    /// The one of the seat in this browser.
    pub(super) fn seat(headers: &HeaderMap) -> Option<Self> {
        Token::read(headers, SEAT)
    }

    /// The one of the login that has begun in this browser.
    pub(super) fn door(headers: &HeaderMap) -> Option<Self> {
        Token::read(headers, DOOR)
    }

    fn derived(&self, what: &[u8]) -> String {
        HEXLOWER.encode(&Sha256::new().chain_update(what).chain_update(self.0).finalize())
    }

    /// The token of this seat's forms.
    pub(super) fn csrf(&self) -> String {
        self.derived(b"countersign desk form 1")
    }

    /// What a login that begins in this browser comes back with.
    pub(super) fn state(&self) -> String {
        self.derived(b"countersign desk login 1")
    }

    /// Whether a text is the one that was derived.
    pub(super) fn is(derived: &str, text: &str) -> bool {
        derived.as_bytes().ct_eq(text.as_bytes()).into()
    }

    fn key(&self) -> [u8; 32] {
        Sha256::digest(self.0).into()
    }

    /// Takes a seat.
    pub(super) fn sit(&self, name: UserName, level: Level, now: &Now) {
        let mut seats = SEATS.lock();
        seats.retain(|_, seat| !is_over(seat, now));
        if seats.len() >= SEATS_MAX {
            let oldest = seats.iter().min_by_key(|(_, seat)| seat.used).map(|(key, _)| *key);
            oldest.map(|key| seats.remove(&key));
        }
        let seat = Seat { name, level, used: now.boot_ms, at_most: now.boot_ms.saturating_add(SEAT_MS) };
        seats.insert(self.key(), seat);
    }

    /// Who sits there, and the level of what was shown at the login; none once that is over.
    pub(super) fn who(&self, now: &Now) -> Option<(UserName, Level)> {
        let mut seats = SEATS.lock();
        let seat = seats.get_mut(&self.key()).filter(|seat| !is_over(seat, now))?;
        seat.used = now.boot_ms;
        Some((seat.name.clone(), seat.level))
    }

    /// Leaves it.
    pub(super) fn stand_up(&self) {
        SEATS.lock().remove(&self.key());
    }

    /// The cookie of a seat. It ends with the browser; the seat's own life is shorter.
    pub(super) fn seat_cookie(&self, secure: bool) -> HeaderValue {
        self.cookie(SEAT, "", secure)
    }

    /// The cookie of a login.
    pub(super) fn door_cookie(&self, secure: bool) -> HeaderValue {
        self.cookie(DOOR, &format!("; Max-Age={DOOR_AGE_S}"), secure)
    }

    fn cookie(&self, name: &str, age: &str, secure: bool) -> HeaderValue {
        let secure = if secure { "; Secure" } else { "" };
        let token = BASE64URL_NOPAD.encode(&self.0);
        let text = format!("{name}={token}; Path=/desk; HttpOnly; SameSite=Strict{age}{secure}");
        HeaderValue::from_str(&text).expect("Base64 is header text")
    }
}

/// The end of a seat's cookie.
pub(super) fn forget_seat() -> HeaderValue {
    HeaderValue::from_static("countersign-desk=; Path=/desk; HttpOnly; SameSite=Strict; Max-Age=0")
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::time::BootId;

    fn now(boot_ms: u64) -> Now {
        Now { wall_ms: 0, steady_ms: 0, boot: BootId([0; 16]), boot_ms }
    }

    /// BIND-36: a seat is free after fifteen minutes without a visit, and after an hour in any case.
    #[test]
    fn a_seat_is_not_kept_for_ever() {
        let name = || UserName::parse("ann").unwrap();
        let token = Token::of_random([7; 32]);
        token.sit(name(), Level::Three, &now(0));
        assert!(token.who(&now(IDLE_MS - 1)).is_some_and(|(_, level)| level == Level::Three));
        assert!(token.who(&now(2 * IDLE_MS - 1)).is_none());
        token.sit(name(), Level::Two, &now(0));
        for minute in 0..60 {
            assert!(token.who(&now(minute * 60_000)).is_some(), "{minute}");
        }
        assert!(token.who(&now(SEAT_MS)).is_none());
        token.sit(name(), Level::Two, &now(0));
        token.stand_up();
        assert!(token.who(&now(1)).is_none());
        assert!(Token::of_random([8; 32]).who(&now(1)).is_none());
    }
}
