//! A bounds-checked cursor over PDU octets.

use super::PduError;

/// Reads octets in order; every shortage names the field that was being read.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    pub(super) fn octet(&mut self, field: &'static str) -> Result<u8, PduError> {
        let (&first, rest) = self.bytes.split_first().ok_or(PduError::Truncated { field })?;
        self.bytes = rest;
        Ok(first)
    }

    pub(super) fn take(&mut self, count: usize, field: &'static str) -> Result<&'a [u8], PduError> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or(PduError::Truncated { field })?;
        self.bytes = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], PduError> {
        let (taken, rest) = self.bytes.split_first_chunk().ok_or(PduError::Truncated { field })?;
        self.bytes = rest;
        Ok(*taken)
    }
}
