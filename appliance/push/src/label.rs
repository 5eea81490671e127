//! What a phone shows of an account: issuer, account name, colour and logo (COMB-08 to COMB-11), and where it answers.
//!
//! Each is checked once, against what breaks in one phone or another (C.1.1), and is fit for every URI after that.

use data_encoding::HEXLOWER_PERMISSIVE;
use domain::weburl;
use thiserror::Error;

use crate::base64;

/// Longest issuer or account name, in characters (D-37).
pub const LABEL_MAX: usize = 64;
/// Longest address of a logo or an endpoint, in bytes: they are in a QR code.
pub const ADDRESS_MAX: usize = 200;
/// Where a phone sends its answers, below the appliance's own address (C.1.2).
pub const PATH: &str = "/json/push/sns/message";
/// The same place under a name that keeps the QR code small.
pub const SHORT_PATH: &str = "/p";
/// In issuer names: splits a label, or a query that was decoded before it was split.
const ISSUER_FORBIDDEN: [char; 4] = [':', '&', '#', '%'];

/// Why a text cannot be shown by every phone, or not be put into a QR code.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum LabelError {
    /// Nothing in it, or spaces at an end.
    #[error("must not be empty, nor begin or end with a space")]
    Empty,
    /// Too long.
    #[error("must not be longer than {0} characters")]
    TooLong(usize),
    /// A character that some phone stumbles over.
    #[error("must not contain {0:?}: some phones split the text there")]
    Character(char),
    /// The two Base64 alphabets differ over it.
    #[error("cannot be encoded so that every phone reads it: change a letter, or the place of ? > or ~")]
    NotNeutral,
    /// No colour.
    #[error("must be a colour of six hexadecimal digits")]
    Colour,
    /// No address that all phones read.
    #[error("must be an https:// or http:// address of letters, digits and . - _ / alone")]
    Address,
    /// An address that phones must not be sent to.
    #[error("must be an https:// address (http:// on this machine only) without user, query and fragment")]
    Endpoint,
}

/// Who issues: the first half of the label (COMB-08, D-37).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer(String);

impl Issuer {
    /// Checks a name.
    ///
    /// # Errors
    /// [`LabelError`] names what some phone would read wrongly (C.1.1, 1 and 2).
    pub fn parse(text: &str) -> Result<Self, LabelError> {
        if text.trim() != text || text.is_empty() {
            return Err(LabelError::Empty);
        }
        if text.chars().count() > LABEL_MAX {
            return Err(LabelError::TooLong(LABEL_MAX));
        }
        if let Some(bad) = text.chars().find(|c| c.is_control() || ISSUER_FORBIDDEN.contains(c)) {
            return Err(LabelError::Character(bad));
        }
        base64::neutral(text.as_bytes()).map(|_| Issuer(text.to_owned())).ok_or(LabelError::NotNeutral)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whose account it is: the second half of the label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account(String);

impl Account {
    /// The name that a phone shows: the attribute if it is there and not blank, else the user name (COMB-09). What
    /// would split the label becomes `_` (C.1.1, 2), and so do control characters; what is too long is cut.
    pub fn of(attribute: Option<&str>, user: &str) -> Self {
        let shown = attribute.map(str::trim).filter(|text| !text.is_empty()).unwrap_or_else(|| user.trim());
        let plain = shown.chars().map(|c| if c == ':' || c.is_control() { '_' } else { c });
        let cut: String = plain.take(LABEL_MAX).collect();
        Account(cut.trim_end().to_owned())
    }

    /// The name of a further account of the same person, such as `alice (2)`: a phone refuses the same label twice
    /// (C.1.3).
    pub fn numbered(&self, number: u32) -> Self {
        let suffix = format!(" ({number})");
        let room = LABEL_MAX - suffix.len();
        let cut: String = self.0.chars().take(room).collect();
        Account(format!("{}{suffix}", cut.trim_end()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The colour behind the logo (COMB-10): six hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Colour(String);

impl Colour {
    /// Reads six hexadecimal digits, with or without `#` before them.
    ///
    /// # Errors
    /// [`LabelError::Colour`] for anything else.
    pub fn parse(text: &str) -> Result<Self, LabelError> {
        let digits = text.strip_prefix('#').unwrap_or(text);
        match HEXLOWER_PERMISSIVE.decode(digits.as_bytes()) {
            Ok(bytes) if bytes.len() == 3 => Ok(Colour(digits.to_ascii_lowercase())),
            _ => Err(LabelError::Colour),
        }
    }

    /// The digits as they are sent: lower case, no `#`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The address of a logo (COMB-11).
///
/// Only characters that need no escape, and over which the Base64 alphabets cannot differ: phones decode before they
/// split (C.1.1, 3), and `pushauth` carries it in Base64 (C.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logo(String);

impl Logo {
    /// Checks an address.
    ///
    /// # Errors
    /// [`LabelError::Address`] unless it is plain, [`LabelError::TooLong`] above [`ADDRESS_MAX`].
    pub fn parse(url: &str) -> Result<Self, LabelError> {
        if url.len() > ADDRESS_MAX {
            return Err(LabelError::TooLong(ADDRESS_MAX));
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/:".contains(&byte);
        let good =
            url.bytes().all(plain) && weburl::origin(url).is_some_and(|origin| origin.len() < url.len());
        good.then(|| Logo(url.to_owned())).ok_or(LabelError::Address)
    }

    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where phones answer: one address for all actions, which differ in `?_action=` alone (C.1.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(String);

impl Endpoint {
    /// The endpoint below the appliance's public address; `path` is [`PATH`] or [`SHORT_PATH`].
    ///
    /// # Errors
    /// [`LabelError::Endpoint`] for an address that carries more than scheme, host, port and path, or that is
    /// `http://` elsewhere; [`LabelError::TooLong`] above [`ADDRESS_MAX`].
    pub fn below(public_url: &str, path: &str) -> Result<Self, LabelError> {
        let base = format!("{}{path}", public_url.trim_end_matches('/'));
        if base.len() > ADDRESS_MAX {
            return Err(LabelError::TooLong(ADDRESS_MAX));
        }
        let bare = !base.contains(['?', '#', '&']) && weburl::return_origin(&base).is_some();
        bare.then_some(Endpoint(base)).ok_or(LabelError::Endpoint)
    }

    /// Where a phone registers.
    pub fn register(&self) -> String {
        format!("{}?_action=register", self.0)
    }

    /// Where a phone answers a push.
    pub fn authenticate(&self) -> String {
        format!("{}?_action=authenticate", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// C.1.1 (1, 2, 3), AT-22. Red when an issuer passes that some phone splits or decodes to something else.
    #[test]
    fn an_issuer_is_one_that_every_phone_reads() {
        for good in ["Example Inc", "ForgeRock", "Zürich Küche", "A/B", "日本"] {
            assert_eq!(Issuer::parse(good).unwrap().as_str(), good);
        }
        for (bad, why) in [
            ("", LabelError::Empty),
            (" x", LabelError::Empty),
            ("x ", LabelError::Empty),
            ("Example: Inc", LabelError::Character(':')),
            ("Smith & Sons", LabelError::Character('&')),
            ("No #1", LabelError::Character('#')),
            ("100%25", LabelError::Character('%')),
            ("a\nb", LabelError::Character('\n')),
            ("Is?", LabelError::NotNeutral),
            ("ab~", LabelError::NotNeutral),
        ] {
            assert_eq!(Issuer::parse(bad), Err(why), "{bad:?}");
        }
        assert!(Issuer::parse(&"é".repeat(LABEL_MAX)).is_ok());
        assert_eq!(Issuer::parse(&"x".repeat(LABEL_MAX + 1)), Err(LabelError::TooLong(LABEL_MAX)));
    }

    /// COMB-09, C.1.1 (2). Red when an empty attribute is shown, or a `:` splits the label.
    #[test]
    fn an_account_falls_back_to_the_user_name() {
        for (attribute, user, shown) in [
            (Some("Alice Example"), "alice", "Alice Example"),
            (None, "alice", "alice"),
            (Some(""), "alice", "alice"),
            (Some(" \t"), "alice", "alice"),
            (Some("a:b:c"), "alice", "a_b_c"),
            (None, "corp:alice", "corp_alice"),
            (Some("a\u{7}b"), "alice", "a_b"),
        ] {
            assert_eq!(Account::of(attribute, user).as_str(), shown);
        }
        assert_eq!(Account::of(None, &"ä".repeat(70)).as_str().chars().count(), LABEL_MAX);
    }

    /// C.1.3. Red when a further account has the label of the first.
    #[test]
    fn a_further_account_has_a_label_of_its_own() {
        let long = Account::of(None, &"x".repeat(70));
        assert_eq!(Account::of(None, "alice").numbered(2).as_str(), "alice (2)");
        assert_eq!(long.numbered(12).as_str().len(), LABEL_MAX);
        assert!(long.numbered(12).as_str().ends_with("x (12)"));
    }

    /// COMB-10: with and without `#`, six digits, none on the wire.
    #[test]
    fn a_colour_has_six_digits() {
        for text in ["032b75", "#032b75", "#032B75"] {
            assert_eq!(Colour::parse(text).unwrap().as_str(), "032b75");
        }
        for bad in ["", "#", "032b7", "032b755", "##032b75", "032b7g", "blue", "03 2b75"] {
            assert_eq!(Colour::parse(bad), Err(LabelError::Colour), "{bad}");
        }
    }

    /// COMB-11, C.1.1 (1, 3, 4), D-38. Red when a logo's address breaks the query it stands in.
    #[test]
    fn a_logo_has_a_plain_address() {
        for good in ["https://otp.example.org/logo.png", "http://otp.example.org:8080/a-b_c/logo.jpg"] {
            let logo = Logo::parse(good).unwrap();
            assert!(base64::neutral(logo.as_str().as_bytes()).is_some());
        }
        for bad in [
            "otp.example.org/logo.png",
            "ftp://otp.example.org/logo.png",
            "https://otp.example.org",
            "https://otp.example.org/logo.png?x=1",
            "https://otp.example.org/logo.png&b=1",
            "https://otp.example.org/logo.png#x",
            "https://otp.example.org/%26.png",
            "https://otp.example.org/lo go.png",
            "https://otp.example.org/löwe.png",
            "https://user@otp.example.org/logo.png",
            "https:///logo.png",
        ] {
            assert_eq!(Logo::parse(bad), Err(LabelError::Address), "{bad}");
        }
    }

    /// C.1.2. Red when the two addresses differ in more than their action.
    #[test]
    fn an_endpoint_has_one_base_and_two_actions() {
        for public in ["https://otp.example.org", "https://otp.example.org/"] {
            let endpoint = Endpoint::below(public, PATH).unwrap();
            let base = "https://otp.example.org/json/push/sns/message";
            assert_eq!(endpoint.register(), format!("{base}?_action=register"));
            assert_eq!(endpoint.authenticate(), format!("{base}?_action=authenticate"));
        }
        let short = Endpoint::below("https://otp.example.org/tenant", SHORT_PATH).unwrap();
        assert_eq!(short.register(), "https://otp.example.org/tenant/p?_action=register");
        assert!(Endpoint::below("http://127.0.0.1:8080", PATH).is_ok());
        for bad in [
            "http://otp.example.org",
            "https://otp.example.org/?realm=a",
            "https://u@otp.example.org",
            "otp",
            "",
        ] {
            assert_eq!(Endpoint::below(bad, PATH), Err(LabelError::Endpoint), "{bad}");
        }
    }
}
