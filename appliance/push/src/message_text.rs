//! What a push says (COMB-41): text that every phone shows as it was meant (C.3, c).

use thiserror::Error;

/// Longest text, in characters.
pub const TEXT_MAX: usize = 160;
/// Stands in a template for the user's name.
const USER: &str = "{user}";
/// Stands in a template for the issuer.
const ISSUER: &str = "{issuer}";

/// Why a text cannot be sent.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum TextError {
    /// Nothing to read in it.
    #[error("must not be empty")]
    Empty,
    /// Too long.
    #[error("must not be longer than {TEXT_MAX} characters")]
    TooLong,
    /// A character that some phones would not undo the escape of.
    #[error("must not contain quotation marks (\"), backslashes and control characters")]
    Character,
    /// Some phones would make a number or a truth value of it.
    #[error("must be more than a number, true, false or null")]
    Number,
}

/// A text that can be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageText(String);

impl MessageText {
    /// Checks a text.
    ///
    /// # Errors
    /// [`TextError`] names what some phone would show wrongly.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        if text.trim().is_empty() {
            return Err(TextError::Empty);
        }
        if text.chars().count() > TEXT_MAX {
            return Err(TextError::TooLong);
        }
        if text.chars().any(is_escaped) {
            return Err(TextError::Character);
        }
        if reads_as_number(text.trim()) { Err(TextError::Number) } else { Ok(MessageText(text.to_owned())) }
    }

    /// Fills a template. Names come from people: what could not be sent in them is replaced, and what is too long is
    /// cut, so that nobody's name keeps the push from being sent.
    ///
    /// # Errors
    /// [`TextError`] for a template that is wrong whatever the names are.
    pub fn fill(template: &str, user: &str, issuer: &str) -> Result<Self, TextError> {
        // A template has words of its own: with names that are digits alone it must still be a text.
        MessageText::parse(&template.replace(ISSUER, "1").replace(USER, "1"))?;
        let plain =
            |name: &str| -> String { name.chars().map(|c| if is_escaped(c) { '_' } else { c }).collect() };
        // The issuer first: it is the operator's, and holds no placeholder that a user could have chosen.
        let text = template.replace(ISSUER, &plain(issuer)).replace(USER, &plain(user));
        let cut: String = text.chars().take(TEXT_MAX).collect();
        MessageText::parse(&cut)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_escaped(c: char) -> bool {
    c.is_control() || matches!(c, '"' | '\\')
}

/// Whether a lenient reader could take a text for a number or a word of JSON: signs, digits of any base, exponents and
/// the suffixes that Java's parsers know.
fn reads_as_number(text: &str) -> bool {
    let lower = text.to_lowercase();
    let unsigned = lower.trim_start_matches(['+', '-', '.']);
    let word = ["true", "false", "null", "nan", "infinity", "inf"].contains(&unsigned);
    let numeric =
        |c: char| c.is_numeric() || matches!(c, 'a'..='f' | 'x' | 'p' | 'l' | '+' | '-' | '.' | '_');
    word || (unsigned.starts_with(char::is_numeric) && unsigned.chars().all(numeric))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// C.3 (b, c), COMB-41. Red when a text passes that some phone shows as something else.
    #[test]
    fn a_text_is_one_that_every_phone_shows() {
        for good in
            ["Login to Example Inc", "Anmeldung bei Zürich – jetzt", "2 factors", "d’accès", "1a2b3g", "日本"]
        {
            assert_eq!(MessageText::parse(good).unwrap().as_str(), good);
        }
        for (bad, why) in [
            ("", TextError::Empty),
            (" ", TextError::Empty),
            ("say \"yes\"", TextError::Character),
            ("a\\b", TextError::Character),
            ("a\nb", TextError::Character),
            ("a\u{85}b", TextError::Character),
            ("123456", TextError::Number),
            (" 12 ", TextError::Number),
            ("-1.5e3", TextError::Number),
            ("0x1F", TextError::Number),
            ("5f", TextError::Number),
            (".5", TextError::Number),
            ("١٢٣", TextError::Number),
            ("TRUE", TextError::Number),
            ("null", TextError::Number),
            ("-Infinity", TextError::Number),
            ("NaN", TextError::Number),
        ] {
            assert_eq!(MessageText::parse(bad), Err(why), "{bad:?}");
        }
        assert_eq!(MessageText::parse(&"ä".repeat(TEXT_MAX + 1)), Err(TextError::TooLong));
    }

    /// COMB-41. Red when a name breaks the message, or fills in another name.
    #[test]
    fn names_are_filled_in() {
        let fill =
            |template: &str, user: &str| MessageText::fill(template, user, "Example Inc").map(|text| text.0);
        let template = "Login of {user} to {issuer}?";
        assert_eq!(fill(template, "alice").unwrap(), "Login of alice to Example Inc?");
        assert_eq!(fill(template, "CORP\\\"alice\"").unwrap(), "Login of CORP__alice_ to Example Inc?");
        assert_eq!(fill(template, "{issuer}").unwrap(), "Login of {issuer} to Example Inc?");
        assert_eq!(fill(template, &"x".repeat(500)).unwrap().chars().count(), TEXT_MAX);
        assert_eq!(fill("{user}", "alice"), Err(TextError::Number));
        assert_eq!(fill("{user} {issuer}?", "123456").unwrap(), "123456 Example Inc?");
        assert_eq!(fill("\"{user}\"", "alice"), Err(TextError::Character));
    }
}
