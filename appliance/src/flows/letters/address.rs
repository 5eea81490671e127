//! A postal address as it stands behind the window of an envelope.

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::flows::FlowError;

/// Most lines behind the window, the name included.
const LINES_MAX: usize = 6;
/// Longest line, in characters.
const LINE_MAX: usize = 60;

/// The lines of an address, the name first. Absent from events and logs.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Address(Vec<String>);

impl Address {
    /// Reads an address of one line each; empty lines and spaces at the ends fall away.
    ///
    /// # Errors
    /// [`FlowError::Invalid`] when it does not fit the window.
    pub fn parse(text: &str) -> Result<Self, FlowError> {
        let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        let address = Address(lines.filter(|line| !line.is_empty()).collect());
        let fits = |line: &String| line.chars().count() <= LINE_MAX && !line.chars().any(char::is_control);
        if (1..=LINES_MAX).contains(&address.0.len()) && address.0.iter().all(fits) {
            return Ok(address);
        }
        let text = format!("an address has 1 to {LINES_MAX} lines of at most {LINE_MAX} characters");
        Err(FlowError::Invalid(text))
    }

    /// The lines.
    pub fn lines(&self) -> &[String] {
        &self.0
    }

    /// As it is sealed: a line each.
    pub(crate) fn to_text(&self) -> zeroize::Zeroizing<String> {
        self.0.join("\n").into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// MOB-27: what fits the window is an address.
    #[test]
    fn an_address_fits_the_window() {
        let address = Address::parse(" Zoë  Müller\r\n\nGasse 1\n3000 Bern\n").unwrap();
        assert_eq!(address.lines(), ["Zoë Müller", "Gasse 1", "3000 Bern"]);
        assert_eq!(Address::parse(&address.to_text()).unwrap().lines(), address.lines());
        for text in ["", " \n ", &"a\n".repeat(7), &"a".repeat(61), "a\u{7}"] {
            assert!(Address::parse(text).is_err(), "{text:?}");
        }
    }
}
