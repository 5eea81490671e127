//! The published vectors of RFC 4226 (appendix D), RFC 6238 (appendix B) and RFC 6287 (appendix C.1), as tables.
//!
//! One text for two judges: the tests on the host and the microcontroller's self-test.

use oath::Algorithm;

/// The key of RFC 4226; RFC 6238 repeats its ten digits up to the length of the digest.
const KEY: &[u8; 64] = b"1234567890123456789012345678901234567890123456789012345678901234";

/// The key that the RFCs use with `algorithm`.
pub(crate) fn key(algorithm: Algorithm) -> &'static [u8] {
    &KEY[..algorithm.digest_len()]
}

/// RFC 4226 appendix D: the six-digit codes of counters 0 to 9, HMAC-SHA-1.
pub(crate) const HOTP: [&str; 10] =
    ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"];

/// RFC 6238 appendix B: Unix seconds and the eight-digit codes for SHA-1, SHA-256 and SHA-512, with T0 = 0
/// and X = 30 s.
pub(crate) const TOTP: [(i64, [&str; 3]); 6] = [
    (59, ["94287082", "46119246", "90693936"]),
    (1_111_111_109, ["07081804", "68084774", "25091201"]),
    (1_111_111_111, ["14050471", "67062674", "99943326"]),
    (1_234_567_890, ["89005924", "91819424", "93441116"]),
    (2_000_000_000, ["69279037", "90698825", "38618901"]),
    (20_000_000_000, ["65353130", "77737706", "47863826"]),
];

/// RFC 6287 appendix C.1, without the suites that want a PIN: the suite, the time step (none: the counter is the
/// question's digit), and the responses to the questions 00000000, 11111111, 22222222 ... The time is 25 March 2008,
/// 12:06:30 UTC, in minutes.
pub(crate) const OCRA: [(&str, Option<u64>, &[&str]); 3] = [
    (
        "OCRA-1:HOTP-SHA1-6:QN08",
        None,
        &["237653", "243178", "653583", "740991", "608993", "388898", "816933", "224598", "750600", "294470"],
    ),
    (
        "OCRA-1:HOTP-SHA512-8:C-QN08",
        None,
        &[
            "07016083", "63947962", "70123924", "25341727", "33203315", "34205738", "44343969", "51946085",
            "20403879", "31409299",
        ],
    ),
    (
        "OCRA-1:HOTP-SHA512-8:QN08-T1M",
        Some(0x0132_d0b6),
        &["95209754", "55907591", "22048402", "24218844", "36209546"],
    ),
];
