//! What a code costs the reference board: instructions, counted by its emulator.

use tests::board::instructions;

use super::readings::Readings;

/// What the image of the vectors calls each, and its key.
const CODES: [(&str, &str); 3] = [
    ("hotp-sha1", "hotp_instructions"),
    ("hotp-sha256", "hotp_sha256_instructions"),
    ("totp-sha1", "totp_instructions"),
];

pub(super) fn take(readings: &mut Readings) {
    let counted = instructions().expect("the image of the vectors, which make bench builds");
    for (name, key) in CODES {
        let (_, count) = counted.iter().find(|(code, _)| code == name).expect("the image measures each");
        readings.push(key, 1, *count as f64);
    }
}
