//! What was asked and what was answered, kept outside the appliance: a file of its own, on disk line by line, so
//! that it outlives whatever happens to either side.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::http::{Answer, Client};

/// A code on its way to a verifier.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Submission {
    /// `oath` for a token's code, `sms` for a sent one, or the name of another store.
    pub kind: String,
    /// Serial of the token, or handle of the challenge.
    pub target: String,
    /// The code.
    pub otp: String,
}

impl Submission {
    /// Asks an appliance.
    ///
    /// # Errors
    /// When no answer comes.
    pub fn submit(&self, client: &mut Client) -> std::io::Result<Answer> {
        let (path, body) = match self.kind.as_str() {
            "sms" => (format!("/v1/challenges/{}/verify", self.target), json!({"otp": self.otp})),
            _ => ("/v1/verify".to_owned(), json!({"token": self.target, "otp": self.otp})),
        };
        client.send("POST", &path, Some(body.to_string().as_bytes()))
    }
}

/// One line of the ledger.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    /// Written before the first byte leaves.
    Sent { number: u64, asked: Submission },
    /// Written once the whole answer is here.
    Answer { number: u64, accepted: bool },
}

/// The ledger.
pub struct Ledger {
    path: PathBuf,
    file: File,
    next: AtomicU64,
}

impl Ledger {
    /// A new one.
    ///
    /// # Panics
    /// When the file cannot be made.
    pub fn create(path: &Path) -> Ledger {
        let file = OpenOptions::new().create_new(true).append(true).open(path).expect("a new ledger");
        Ledger { path: path.to_owned(), file, next: AtomicU64::new(0) }
    }

    fn write(&self, line: &Line) {
        let mut text = serde_json::to_vec(line).expect("a ledger line is JSON");
        text.push(b'\n');
        (&self.file).write_all(&text).expect("the ledger takes all");
        self.file.sync_data().expect("the ledger is on disk");
    }

    /// Notes that a code is being sent.
    pub fn sent(&self, asked: Submission) -> u64 {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.write(&Line::Sent { number, asked });
        number
    }

    /// Notes a verdict that has arrived.
    pub fn answered(&self, number: u64, accepted: bool) {
        self.write(&Line::Answer { number, accepted });
    }

    /// Sends a code with a note before and after; an answer that is no verdict is noted as none.
    ///
    /// # Errors
    /// When no answer comes.
    pub fn submit(&self, asked: Submission, client: &mut Client) -> std::io::Result<Answer> {
        let number = self.sent(asked.clone());
        let answer = asked.submit(client)?;
        if answer.accepted() || answer.rejected() {
            self.answered(number, answer.accepted());
        }
        Ok(answer)
    }

    /// What became of each code, as the file has it.
    ///
    /// # Panics
    /// When the file is not a ledger.
    pub fn history(&self) -> BTreeMap<Submission, Fate> {
        let text = std::fs::read_to_string(&self.path).expect("own ledger");
        let mut asked = BTreeMap::new();
        let mut fates: BTreeMap<Submission, Fate> = BTreeMap::new();
        for line in text.lines() {
            match serde_json::from_str(line).expect("a ledger line") {
                Line::Sent { number, asked: code } => {
                    fates.entry(code.clone()).or_default().lost += 1;
                    asked.insert(number, code);
                }
                Line::Answer { number, accepted } => {
                    let fate = fates.get_mut(&asked[&number]).expect("sent before it was answered");
                    fate.lost -= 1;
                    *(if accepted { &mut fate.accepted } else { &mut fate.rejected }) += 1;
                }
            }
        }
        fates
    }
}

/// What became of one code over all its submits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fate {
    /// Accepts that arrived.
    pub accepted: usize,
    /// Rejections that arrived.
    pub rejected: usize,
    /// Submits without an answer.
    pub lost: usize,
}

/// What asking again came to.
#[derive(Clone, Debug, Default)]
pub struct Audit {
    /// Codes acknowledged as accepted that were asked again.
    pub acknowledged: usize,
    /// Codes whose answer was lost.
    pub lost: usize,
    /// Of those, accepted when asked again: for the first time.
    pub late: usize,
    /// Codes accepted more than once.
    pub violations: Vec<String>,
}

/// Asks for every code once more, each through `submit`, and counts all accepts that the ledger knows.
///
/// The same check serves the appliance and the stores that it must catch.
pub fn audit(
    ledger: &Ledger,
    codes: impl IntoIterator<Item = Submission>,
    mut submit: impl FnMut(&Ledger, Submission),
) -> Audit {
    let before = ledger.history();
    let codes: Vec<Submission> = codes.into_iter().collect();
    for code in &codes {
        submit(ledger, code.clone());
    }
    let after = ledger.history();
    let mut audit = Audit::default();
    for code in codes {
        let (was, is) = (before[&code], after[&code]);
        audit.acknowledged += usize::from(was.accepted > 0);
        audit.lost += usize::from(was.lost > 0);
        audit.late += usize::from(was.accepted == 0 && is.accepted > 0);
        if is.accepted > 1 {
            audit.violations.push(format!("accepted {} times: {code:?}", is.accepted));
        }
    }
    audit
}

/// A field of a JSON object as text.
///
/// # Panics
/// When it is none.
pub fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_else(|| panic!("no {field} in {value}")).to_owned()
}
