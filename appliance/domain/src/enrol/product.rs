//! What an applicant says the factor is: the name of a product, such as `YubiKey 5 NFC` (BIND-07). It goes into an event.

use thiserror::Error;

/// Longest name, in bytes.
pub const PRODUCT_MAX: usize = 64;

/// The name of a product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product(String);

/// A text that names no product.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "product: must be 1 to {PRODUCT_MAX} ASCII letters, digits, spaces and any of . _ - + / ( ), and begin with a letter or digit"
)]
pub struct ProductError;

impl Product {
    /// Reads the name of a product.
    ///
    /// # Errors
    /// [`ProductError`] for what is too long, or holds anything else: an event is read by programs and at terminals.
    pub fn parse(text: &str) -> Result<Self, ProductError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b" ._-+/()".contains(&byte);
        let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        if begins && text.len() <= PRODUCT_MAX && !text.ends_with(' ') && text.bytes().all(allowed) {
            Ok(Product(text.to_owned()))
        } else {
            Err(ProductError)
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// BIND-07: names of products are taken, and nothing that an event should not hold.
    #[test]
    fn a_product_is_a_name() {
        let longest = "x".repeat(PRODUCT_MAX);
        for good in ["YubiKey 5 NFC", "Google Authenticator", "CST", "C100/H27 (v2.1)", "a+b_c-d", &longest] {
            assert_eq!(Product::parse(good).map(|product| product.as_str().to_owned()), Ok(good.to_owned()));
        }
        let too_long = "x".repeat(PRODUCT_MAX + 1);
        for bad in [
            "",
            " x",
            "x ",
            "-x",
            "a\nb",
            "a\u{1b}[31m",
            "<b>",
            "\u{202e}x",
            "Zo\u{eb}",
            "a;b",
            "{x}",
            &too_long,
        ] {
            assert_eq!(Product::parse(bad), Err(ProductError), "{bad:?}");
        }
    }
}
