//! Buttons: from levels to presses and holds.

use crate::platform::Buttons;

/// A level counts when it has been the same for this long.
const DEBOUNCE_MS: u64 = 20;

/// A button that is down this long is held.
const HOLD_MS: u64 = 800;

/// Which button.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Button {
    Next,
    Menu,
}

/// What a person did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Press {
    /// Down and up again.
    Short(Button),
    /// Down for a while; comes once, while it is still down.
    Long(Button),
}

#[derive(Debug, Clone, Copy, Default)]
struct Level {
    raw: bool,
    since: u64,
    down: Option<u64>,
    /// Its hold was reported, so its release is nothing.
    held: bool,
}

/// Both buttons.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Input {
    next: Level,
    menu: Level,
}

impl Input {
    /// Takes the levels at `now_ms` and tells what they complete; at most one press per call.
    pub(crate) fn handle(&mut self, buttons: Buttons, now_ms: u64) -> Option<Press> {
        let next = self.next.handle(buttons.next, now_ms, Button::Next);
        let menu = self.menu.handle(buttons.menu, now_ms, Button::Menu);
        next.or(menu)
    }
}

impl Level {
    fn handle(&mut self, raw: bool, now_ms: u64, button: Button) -> Option<Press> {
        if raw != self.raw {
            self.raw = raw;
            self.since = now_ms;
        }
        if now_ms.saturating_sub(self.since) < DEBOUNCE_MS {
            return None;
        }
        match (self.raw, self.down) {
            (true, None) => {
                self.down = Some(now_ms);
                self.held = false;
                None
            }
            (true, Some(down)) if !self.held && now_ms.saturating_sub(down) >= HOLD_MS => {
                self.held = true;
                Some(Press::Long(button))
            }
            (false, Some(_)) => {
                self.down = None;
                (!self.held).then_some(Press::Short(button))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn presses(levels: &[(u64, bool)]) -> Vec<(u64, Press)> {
        let mut input = Input::default();
        let end = levels.last().map_or(0, |&(at, _)| at) + 2_000;
        (0..end)
            .filter_map(|now| {
                let next = levels.iter().rev().find(|&&(at, _)| at <= now).is_some_and(|&(_, down)| down);
                input.handle(Buttons { next, menu: false }, now).map(|press| (now, press))
            })
            .collect()
    }

    #[test]
    fn bouncing_is_one_press_and_holding_is_one_hold() {
        let bouncing = [(0, true), (3, false), (5, true), (100, false), (104, true), (107, false)];
        assert_eq!(presses(&bouncing), [(127, Press::Short(Button::Next))]);
        assert_eq!(presses(&[(0, true), (15, false)]), []);
        assert_eq!(presses(&[(0, true), (1_500, false)]), [(820, Press::Long(Button::Next))]);
    }
}
