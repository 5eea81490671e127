//! Fault scripts: which answer goes wrong, and how.
//!
//! ```toml
//! [[fault]]
//! on = "AT+CMGS"   # a command's beginning, or "prompt"
//! nth = 3          # the third time; without, every time
//! do = "late"      # hang error garbage split unplug urc late drop
//! arg = "45s"
//! ```
//!
//! A fault on `AT+CMGS` acts on the answer to the PDU, one on `prompt` on the prompt before it.

use std::time::Duration;

use serde::Deserialize;

const LATE: Duration = Duration::from_secs(45);
const UNPLUGGED: Duration = Duration::from_secs(10);
const SPLIT_PAUSE: Duration = Duration::from_millis(10);

/// The name that stands for the prompt of `AT+CMGS`.
pub(super) const PROMPT: &str = "prompt";

/// A script, and how often each of its faults was met.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    #[serde(default, rename = "fault")]
    faults: Vec<Fault>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fault {
    on: String,
    nth: Option<u32>,
    #[serde(rename = "do")]
    kind: Kind,
    #[serde(default)]
    arg: String,
    #[serde(skip)]
    met: u32,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Hang,
    Error,
    Garbage,
    Split,
    Unplug,
    Urc,
    Late,
    Drop,
}

/// What goes wrong with one answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect {
    /// No answer to this and to anything else, for a time or for good.
    Hang(Option<Duration>),
    /// This error in its place.
    Error(String),
    /// These octets before it.
    Before(Vec<u8>),
    /// Octet by octet.
    Split(Duration),
    /// The device goes away for a time; what was asked is not done.
    Unplug(Duration),
    /// After a time.
    Late(Duration),
    /// What was asked is done, its answer is lost.
    Drop,
}

/// Why a script is refused.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// Not the TOML we want.
    #[error("fault script: {0}")]
    Toml(#[from] toml::de::Error),
    /// An argument that is not a time.
    #[error("fault script: {0:?} is not a time such as 500ms, 45s or 2m")]
    Time(String),
}

impl Script {
    /// Reads a script.
    ///
    /// # Errors
    /// Unknown keys and words, and times that are none.
    pub fn parse(text: &str) -> Result<Self, ScriptError> {
        let script: Self = toml::from_str(text)?;
        for fault in &script.faults {
            fault.effect()?;
        }
        Ok(script)
    }

    /// Counts one occurrence of a command or of the prompt, and gives the fault whose turn it is.
    pub(super) fn meet(&mut self, command: &str) -> Option<Effect> {
        let mut effect = None;
        for fault in self.faults.iter_mut().filter(|fault| command.starts_with(&fault.on)) {
            fault.met += 1;
            if effect.is_none() && fault.nth.is_none_or(|nth| nth == fault.met) {
                effect = fault.effect().ok();
            }
        }
        effect
    }
}

impl Fault {
    fn effect(&self) -> Result<Effect, ScriptError> {
        let time = |default: Duration| if self.arg.is_empty() { Ok(default) } else { duration(&self.arg) };
        Ok(match self.kind {
            Kind::Hang if self.arg.is_empty() => Effect::Hang(None),
            Kind::Hang => Effect::Hang(Some(duration(&self.arg)?)),
            Kind::Error if self.arg.is_empty() => Effect::Error("ERROR".to_owned()),
            Kind::Error if self.arg.bytes().all(|b| b.is_ascii_digit()) => {
                let name = if self.on.starts_with("AT+CMG") { "CMS" } else { "CME" };
                Effect::Error(format!("+{name} ERROR: {}", self.arg))
            }
            Kind::Error => Effect::Error(self.arg.clone()),
            Kind::Garbage if self.arg.is_empty() => {
                Effect::Before(b"\xc3\x28\x00\xff~x}\r\n\x1a\x07".to_vec())
            }
            Kind::Garbage => Effect::Before(self.arg.clone().into_bytes()),
            Kind::Split => Effect::Split(time(SPLIT_PAUSE)?),
            Kind::Unplug => Effect::Unplug(time(UNPLUGGED)?),
            Kind::Urc if self.arg.is_empty() => Effect::Before(b"\r\n+CMTI: \"SM\",1\r\n".to_vec()),
            Kind::Urc => Effect::Before(format!("\r\n{}\r\n", self.arg).into_bytes()),
            Kind::Late => Effect::Late(time(LATE)?),
            Kind::Drop => Effect::Drop,
        })
    }
}

fn duration(text: &str) -> Result<Duration, ScriptError> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (count, unit) = text.split_at(split);
    let count: u64 = count.parse().map_err(|_| ScriptError::Time(text.to_owned()))?;
    match unit {
        "ms" => Ok(Duration::from_millis(count)),
        "s" | "" => Ok(Duration::from_secs(count)),
        "m" => Ok(Duration::from_secs(count.saturating_mul(60))),
        _ => Err(ScriptError::Time(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_third_time_only() {
        let mut script =
            Script::parse("[[fault]]\non = \"AT+CMGS\"\nnth = 3\ndo = \"error\"\narg = \"331\"\n")
                .expect("a script");
        let met: Vec<_> = (0..4).map(|_| script.meet("AT+CMGS=20")).collect();
        assert_eq!(met, [None, None, Some(Effect::Error("+CMS ERROR: 331".to_owned())), None]);
        assert_eq!(script.meet("AT"), None);
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for text in [
            "[[fault]]\non = \"AT\"\ndo = \"explode\"\n",
            "[[fault]]\non = \"AT\"\ndo = \"late\"\narg = \"soon\"\n",
            "[[fault]]\non = \"AT\"\ndo = \"drop\"\nwhen = 3\n",
        ] {
            assert!(Script::parse(text).is_err(), "{text}");
        }
    }
}
