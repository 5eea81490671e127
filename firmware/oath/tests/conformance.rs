//! Whole codes against published vectors. The judge of the MAC is RustCrypto's `hmac`.

mod vectors;

use hmac::{Hmac, KeyInit, Mac};
use oath::ocra::{Question, Suite};
use oath::{Algorithm, CodeFormat, Digits, Period, TotpClock, Truncation, moving_factor};
use sha1::Sha1;
use sha2::{Sha256, Sha512};

const CLOCK: TotpClock = TotpClock { t0: 0, period: Period::THIRTY };
const SIX: CodeFormat = CodeFormat { digits: Digits::SIX, checksum: false, truncation: Truncation::Dynamic };

fn code(format: CodeFormat, algorithm: Algorithm, key: &[u8], n: u64) -> String {
    code_of(format, algorithm, key, &[&moving_factor(n)])
}

fn code_of(format: CodeFormat, algorithm: Algorithm, key: &[u8], parts: &[&[u8]]) -> String {
    fn hmac<M: Mac + KeyInit>(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
        let mut mac = <M as KeyInit>::new_from_slice(key).expect("HMAC takes keys of any length");
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().to_vec()
    }
    let mac = match algorithm {
        Algorithm::Sha1 => hmac::<Hmac<Sha1>>(key, parts),
        Algorithm::Sha256 => hmac::<Hmac<Sha256>>(key, parts),
        Algorithm::Sha512 => hmac::<Hmac<Sha512>>(key, parts),
    };
    assert_eq!(mac.len(), algorithm.digest_len());
    format.code(&mac).as_str().to_owned()
}

#[test]
fn rfc_4226_appendix_d() {
    let key = vectors::key(Algorithm::Sha1);
    for (counter, expected) in (0..).zip(vectors::HOTP) {
        assert_eq!(code(SIX, Algorithm::Sha1, key, counter), expected, "counter {counter}");
    }
}

#[test]
fn rfc_6238_appendix_b() {
    let eight = CodeFormat { digits: Digits::new(8).unwrap(), ..SIX };
    for (time, expected) in vectors::TOTP {
        let step = CLOCK.step(time).unwrap();
        for (algorithm, expected) in Algorithm::ALL.into_iter().zip(expected) {
            let got = code(eight, algorithm, vectors::key(algorithm), step);
            assert_eq!(got, expected, "{} at {time}", algorithm.name());
        }
    }
}

/// The one-way suites of appendix C.1 with a numeric question and without a PIN.
#[test]
fn rfc_6287_appendix_c_1() {
    for (suite, moving, responses) in vectors::OCRA {
        let suite = Suite::parse(suite).unwrap();
        for (n, expected) in (0u64..).zip(responses) {
            let question = Question::parse(n.to_string().repeat(8).as_bytes()).unwrap();
            let input = suite.input(&question, moving.unwrap_or(n));
            let key = vectors::key(suite.algorithm);
            let got = code_of(suite.format(), suite.algorithm, key, &input.parts());
            assert_eq!(got, *expected, "{suite} {question}");
        }
    }
}

/// COMB-24: the RFC 4226 key, six digits and the checksum digit.
#[test]
fn checksum_digit() {
    let format = CodeFormat { checksum: true, ..SIX };
    for (counter, expected) in (0..).zip([
        "7552243", "2870822", "3591526", "9694290", "3383148", "2546760", "2879229", "1625839", "3998713",
        "5204896",
    ]) {
        assert_eq!(code(format, Algorithm::Sha1, vectors::key(Algorithm::Sha1), counter), expected);
        assert_eq!(format.len(), expected.len());
    }
}

/// COMB-25: a two-byte key, with the first four bytes of the MAC and with the dynamic offset.
#[test]
fn fixed_truncation_offset() {
    let first = CodeFormat { truncation: Truncation::Fixed(0), ..SIX };
    for (counter, fixed, dynamic) in
        [(0, "564491", "564491"), (1, "016912", "853971"), (2, "734574", "389971")]
    {
        assert_eq!(code(first, Algorithm::Sha1, &[0xab, 0xcd], counter), fixed);
        assert_eq!(code(SIX, Algorithm::Sha1, &[0xab, 0xcd], counter), dynamic);
    }
}

/// 2010-11-10T07:59:55Z, five seconds before a step ends.
#[test]
fn six_digit_totp_with_a_short_key() {
    let time = 1_289_375_995;
    let step = CLOCK.step(time).unwrap();
    assert_eq!(CLOCK.remaining(time), Some(5));
    for (algorithm, expected) in Algorithm::ALL.into_iter().zip(["325835", "134207", "154266"]) {
        assert_eq!(code(SIX, algorithm, &[0xab, 0xcd], step), expected);
    }
    assert_eq!(code(SIX, Algorithm::Sha1, &[0xab, 0xcd], step + 1), "607352");
}

/// The Base32 secret `JMEZ2W7D462P3JYBDG2HV7PFBM` of a phone app: a key of 16 bytes.
#[test]
fn phone_app_secret() {
    let key = 0x4b09_9d5b_e3e7_b4fd_a701_19b4_7afd_e50b_u128.to_be_bytes();
    for (counter, expected) in (0..).zip(["344185", "785324", "361422"]) {
        assert_eq!(code(SIX, Algorithm::Sha1, &key, counter), expected);
    }
    assert_eq!(code(SIX, Algorithm::Sha1, &key, CLOCK.step(1_461_773_681).unwrap()), "994721");
}
