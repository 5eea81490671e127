//! Authenticator policies (COMB-26 to COMB-28, C.1.4): what a phone must satisfy before it registers.
//!
//! We only carry them: the app judges, and one that refuses sends nothing, so that the registration times out.

use serde_json::Value;
use thiserror::Error;

use crate::base64;
use crate::json::{self, Members, NotMembers};

/// Longest text of policies, in bytes: it is in a QR code.
pub const POLICIES_MAX: usize = 512;
/// The device must have a biometric sensor in use; no parameters (COMB-27).
const BIOMETRIC: &str = "biometricAvailable";
/// The device must not look rooted: its score against `score` (COMB-28).
const TAMPERING: &str = "deviceTampering";
const SCORE: &str = "score";
/// Spaces before a text move it to any place within Base64's groups of three bytes.
const SHIFTS: usize = 3;

/// Why a text is no set of policies.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PoliciesError {
    /// Too long.
    #[error("must not be longer than {POLICIES_MAX} bytes")]
    TooLong,
    /// Not one JSON object.
    #[error("must be one JSON object, as in {{\"biometricAvailable\":{{}}}}")]
    Syntax,
    /// A name stands there twice.
    #[error("must not name a policy or a parameter twice")]
    Twice,
    /// A policy that is no object: the Android SDK fails over it.
    #[error("the value of {0} must be a JSON object")]
    NotAnObject(String),
    /// A parameter that the policy does not have.
    #[error("{policy} has no parameter {parameter}")]
    Parameter {
        /// The policy.
        policy: &'static str,
        /// What it was given.
        parameter: String,
    },
    /// The score is no number from 0 to 1.
    #[error("the score of deviceTampering must be a number from 0 to 1.0")]
    Score,
    /// A text whose encoding the phones disagree about, wherever it stands.
    #[error("the text {0:?} cannot be encoded so that every phone reads it: leave out ? > or ~")]
    NotNeutral(String),
}

/// A checked set of policies, spelt so that every phone decodes it alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policies {
    json: String,
    /// Policies that no SDK has of its own: they count only if the app registers them (C.1.4).
    unknown: Vec<String>,
}

impl Policies {
    /// Checks the JSON of a setting. None for an empty object: the parameter is then left out (C.1.4).
    ///
    /// # Errors
    /// [`PoliciesError`] says which policy is wrong.
    pub fn parse(text: &str) -> Result<Option<Self>, PoliciesError> {
        if text.len() > POLICIES_MAX {
            return Err(PoliciesError::TooLong);
        }
        let refused = |why| match why {
            NotMembers::Syntax => PoliciesError::Syntax,
            NotMembers::Twice => PoliciesError::Twice,
        };
        let shallow: Members = json::parse(text.as_bytes()).map_err(refused)?;
        if let Some((name, _)) = shallow.0.iter().find(|(_, value)| !value.is_object()) {
            return Err(PoliciesError::NotAnObject(name.clone()));
        }
        let policies: Members<Members> = json::parse(text.as_bytes()).map_err(refused)?;
        let mut unknown = Vec::new();
        for (name, parameters) in &policies.0 {
            match name.as_str() {
                BIOMETRIC => biometric(parameters)?,
                TAMPERING => tampering(parameters)?,
                _ => unknown.push(name.clone()),
            }
        }
        if shallow.0.is_empty() {
            return Ok(None);
        }
        let json = neutral_json(&Value::Object(shallow.0.into_iter().collect()))?;
        Ok(Some(Policies { json, unknown }))
    }

    /// The JSON as it goes into a QR code.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// The policies that only some apps know.
    pub fn unknown(&self) -> &[String] {
        &self.unknown
    }

    /// The value of the URI's parameter.
    pub(crate) fn encoded(&self) -> String {
        base64::neutral(self.json.as_bytes()).expect("spelt neutrally by parse")
    }
}

fn biometric(parameters: &Members) -> Result<(), PoliciesError> {
    match parameters.0.keys().next() {
        None => Ok(()),
        Some(name) => Err(PoliciesError::Parameter { policy: BIOMETRIC, parameter: name.clone() }),
    }
}

fn tampering(parameters: &Members) -> Result<(), PoliciesError> {
    for (name, value) in &parameters.0 {
        if name != SCORE {
            return Err(PoliciesError::Parameter { policy: TAMPERING, parameter: name.clone() });
        }
        if !value.as_f64().is_some_and(|score| (0.0..=1.0).contains(&score)) {
            return Err(PoliciesError::Score);
        }
    }
    Ok(())
}

/// The same JSON in ASCII, with spaces where the Base64 alphabets would differ otherwise (C.1.1, 1).
///
/// In ASCII they differ only where `>`, `?` or `~` is the third byte of a group. Those stand in strings alone, and
/// up to two spaces before a string move it to another place; what other strings need does not change by that.
fn neutral_json(value: &Value) -> Result<String, PoliciesError> {
    let mut out = String::with_capacity(POLICIES_MAX);
    write(value, &mut out)?;
    Ok(out)
}

fn write(value: &Value, out: &mut String) -> Result<(), PoliciesError> {
    match value {
        Value::String(text) => string(text, out),
        Value::Array(items) => {
            out.push('[');
            for (n, item) in items.iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                write(item, out)?;
            }
            out.push(']');
            Ok(())
        }
        Value::Object(members) => {
            out.push('{');
            for (n, (name, value)) in members.iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                string(name, out)?;
                out.push(':');
                write(value, out)?;
            }
            out.push('}');
            Ok(())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {
            out.push_str(&value.to_string());
            Ok(())
        }
    }
}

fn string(text: &str, out: &mut String) -> Result<(), PoliciesError> {
    let mut ascii = String::new();
    for c in Value::from(text).to_string().chars() {
        match c {
            ' '..='~' => ascii.push(c),
            other => {
                let mut units = [0; 2];
                for unit in other.encode_utf16(&mut units) {
                    ascii.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    for spaces in 0..SHIFTS {
        let start = out.len() + spaces;
        let bad = |(n, byte): (usize, u8)| (start + n) % 3 == 2 && b">?~\x7f".contains(&byte);
        if !ascii.bytes().enumerate().any(bad) {
            out.push_str(&" ".repeat(spaces));
            out.push_str(&ascii);
            return Ok(());
        }
    }
    Err(PoliciesError::NotNeutral(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// COMB-26, AT-22: the golden spelling.
    #[test]
    fn the_documents_policies_are_written_as_they_are() {
        let text = r#"{"biometricAvailable": {}, "deviceTampering": {"score": 0.8}}"#;
        let policies = Policies::parse(text).unwrap().unwrap();
        assert_eq!(policies.json(), r#"{"biometricAvailable":{},"deviceTampering":{"score":0.8}}"#);
        assert_eq!(
            policies.encoded(),
            "eyJiaW9tZXRyaWNBdmFpbGFibGUiOnt9LCJkZXZpY2VUYW1wZXJpbmciOnsic2NvcmUiOjAuOH19"
        );
        assert!(policies.unknown().is_empty());
        assert_eq!(Policies::parse("{}"), Ok(None));
    }

    /// COMB-26, COMB-27, COMB-28, C.1.4, D-44. Red when a policy passes over which an SDK fails.
    #[test]
    fn what_is_no_policy_is_refused_with_its_reason() {
        let parameter =
            |policy, parameter: &str| PoliciesError::Parameter { policy, parameter: parameter.to_owned() };
        for (text, why) in [
            ("", PoliciesError::Syntax),
            ("[]", PoliciesError::Syntax),
            ("{} x", PoliciesError::Syntax),
            (r#"{"biometricAvailable":true}"#, PoliciesError::NotAnObject("biometricAvailable".to_owned())),
            (r#"{"own":[]}"#, PoliciesError::NotAnObject("own".to_owned())),
            (r#"{"biometricAvailable":{},"biometricAvailable":{}}"#, PoliciesError::Twice),
            (r#"{"deviceTampering":{"score":0.1,"score":0.2}}"#, PoliciesError::Twice),
            (r#"{"biometricAvailable":{"level":1}}"#, parameter("biometricAvailable", "level")),
            (r#"{"deviceTampering":{"threshold":1}}"#, parameter("deviceTampering", "threshold")),
            (r#"{"deviceTampering":{"score":1.01}}"#, PoliciesError::Score),
            (r#"{"deviceTampering":{"score":-0.1}}"#, PoliciesError::Score),
            (r#"{"deviceTampering":{"score":"0.5"}}"#, PoliciesError::Score),
        ] {
            assert_eq!(Policies::parse(text), Err(why), "{text}");
        }
        for text in [
            r#"{"deviceTampering":{"score":0}}"#,
            r#"{"deviceTampering":{"score":1}}"#,
            r#"{"deviceTampering":{}}"#,
        ] {
            assert!(Policies::parse(text).is_ok(), "{text}");
        }
        let long = format!(r#"{{"{}":{{}}}}"#, "x".repeat(POLICIES_MAX));
        assert_eq!(Policies::parse(&long), Err(PoliciesError::TooLong));
    }

    /// C.1.4: a policy that only some apps know is carried, and told of.
    #[test]
    fn an_unknown_policy_is_carried_and_named() {
        let policies = Policies::parse(r#"{"minimumVersion":{"os":"14?"}}"#).unwrap().unwrap();
        assert_eq!(policies.unknown(), ["minimumVersion"]);
    }

    /// C.1.1 (1). Red when no space is put in, or one inside a string.
    #[test]
    fn spaces_make_an_encoding_neutral() {
        for text in [
            r#"{"a":{"b":"?"}}"#,
            r#"{"a?":{"b":">x"},"c":{"d":["é?","~"]}}"#,
            r#"{"ab?":{}}"#,
            r#"{"abc?":{}}"#,
        ] {
            let policies = Policies::parse(text).unwrap().unwrap();
            assert!(base64::neutral(policies.json().as_bytes()).is_some());
            let same = |json: &str| serde_json::from_str::<Value>(json).unwrap();
            assert_eq!(same(policies.json()), same(text));
        }
        assert_eq!(Policies::parse(r#"{"???":{}}"#), Err(PoliciesError::NotNeutral("???".to_owned())));
    }

    proptest! {
        #[test]
        fn whatever_is_taken_is_neutral_and_means_the_same(name in "[ -~é]{0,12}", text in "[ -~ü]{0,12}", n in 0..9u8) {
            let value = serde_json::json!({ name: { "p": text, "q": [n, null] } });
            if let Ok(Some(policies)) = Policies::parse(&value.to_string()) {
                prop_assert!(base64::neutral(policies.json().as_bytes()).is_some());
                prop_assert_eq!(serde_json::from_str::<Value>(policies.json()).unwrap(), value);
            }
        }
    }
}
