//! The emulated SIM: its PIN and how often it may still be tried.

const ATTEMPTS_MAX: u8 = 3;

/// A SIM, with or without a PIN.
#[derive(Debug, Default)]
pub struct Sim {
    pin: Option<String>,
    attempts: u8,
    unlocked: bool,
}

impl Sim {
    /// A SIM that asks for a PIN and has `attempts` left.
    pub fn with_pin(pin: String, attempts: u8) -> Self {
        Self { pin: Some(pin), attempts: attempts.min(ATTEMPTS_MAX), unlocked: false }
    }

    /// Attempts left.
    pub(super) fn attempts(&self) -> u8 {
        self.attempts
    }

    pub(super) fn lock(&mut self) {
        self.unlocked = false;
    }

    pub(super) fn is_locked(&self) -> bool {
        self.pin.is_some() && !self.unlocked
    }

    /// What `AT+CPIN?` says.
    pub(super) fn state(&self) -> &'static str {
        match (self.is_locked(), self.attempts) {
            (false, _) => "READY",
            (true, 0) => "SIM PUK",
            (true, _) => "SIM PIN",
        }
    }

    /// One try; a wrong one costs an attempt.
    pub(super) fn enter(&mut self, pin: &str) -> bool {
        if self.attempts == 0 || !self.is_locked() {
            return false;
        }
        self.unlocked = self.pin.as_deref() == Some(pin);
        self.attempts = if self.unlocked { ATTEMPTS_MAX } else { self.attempts - 1 };
        self.unlocked
    }
}
