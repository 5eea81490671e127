//! The moving factor of RFC 4226 section 5.1: what the MAC is computed over.

/// The eight bytes that go under the MAC for counter or time step `n`, high byte first.
pub const fn moving_factor(n: u64) -> [u8; 8] {
    n.to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn high_byte_comes_first() {
        assert_eq!(moving_factor(0), [0; 8]);
        assert_eq!(moving_factor(0x0102_0304_0506_0708), [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(moving_factor(u64::MAX), [0xff; 8]);
    }
}
