//! What exactly the row-MAC key signs. Each purpose has its own prefix of the same length, so that a MAC of
//! one purpose can never pass for another; fields of varying length carry their length.

use crate::types::MacPurpose;

const PREFIX: &[u8; 15] = b"countersign.mac";

/// The message of a MAC: prefix, purpose, data.
pub(crate) fn message(purpose: MacPurpose, data: &[u8]) -> Vec<u8> {
    let tag = match purpose {
        MacPurpose::Record => 1,
        MacPurpose::State => 2,
        MacPurpose::Lookup => 3,
        MacPurpose::Fingerprint => 4,
        MacPurpose::Row => 5,
    };
    let mut message = Vec::with_capacity(PREFIX.len() + 1 + data.len());
    message.extend_from_slice(PREFIX);
    message.push(tag);
    message.extend_from_slice(data);
    message
}

/// Record and binding as one string for [`MacPurpose::Record`]: u32 LE length of the record, record, binding.
/// `mac(Record, [record_message(record, binding)])` gives the MAC that `match_codes` expects, for a record
/// that moves to another binding.
pub fn record_message(record: &[u8], binding: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(4 + record.len() + binding.len());
    message.extend_from_slice(&u32::try_from(record.len()).unwrap_or(u32::MAX).to_le_bytes());
    message.extend_from_slice(record);
    message.extend_from_slice(binding);
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purposes_and_fields_do_not_run_into_each_other() {
        assert_ne!(message(MacPurpose::State, b"x"), message(MacPurpose::Lookup, b"x"));
        assert_ne!(record_message(b"ab", b"c"), record_message(b"a", b"bc"));
    }
}
