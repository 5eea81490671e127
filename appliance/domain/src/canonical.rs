//! One byte string per record, for the HSM's MACs.
//!
//! Fields are length-prefixed (u32, big endian) or fixed-width, in a fixed order after a label and a
//! version, so that no two different records share a byte string.

/// Builds a canonical byte string.
#[derive(Default)]
pub struct Canonical(Vec<u8>);

impl Canonical {
    /// Starts with a label that names the kind and version of the record.
    pub fn new(label: &str) -> Self {
        Canonical(Vec::with_capacity(128)).bytes(label.as_bytes())
    }

    /// Appends a length-prefixed byte string.
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        let len = u32::try_from(bytes.len()).expect("records are far below 4 GiB");
        self.0.extend_from_slice(&len.to_be_bytes());
        self.0.extend_from_slice(bytes);
        self
    }

    /// Appends a length-prefixed text.
    pub fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    /// Appends a signed number as 8 bytes, big endian.
    pub fn int(mut self, n: i64) -> Self {
        self.0.extend_from_slice(&n.to_be_bytes());
        self
    }

    /// Appends an optional field: one byte that says whether it is there, then the field.
    pub fn optional(mut self, bytes: Option<&[u8]>) -> Self {
        match bytes {
            None => {
                self.0.push(0);
                self
            }
            Some(bytes) => {
                self.0.push(1);
                self.bytes(bytes)
            }
        }
    }

    /// The finished byte string.
    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moving_a_byte_between_fields_changes_the_string() {
        let one = Canonical::new("t").bytes(b"ab").bytes(b"c").finish();
        let two = Canonical::new("t").bytes(b"a").bytes(b"bc").finish();
        assert_ne!(one, two);
        assert_ne!(
            Canonical::new("t").optional(None).finish(),
            Canonical::new("t").optional(Some(b"")).finish()
        );
    }
}
