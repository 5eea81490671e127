//! The token in a person's hand: PIN, delays, the display.

use crate::board::{Bench, Board};
use crate::flash::Flash;
use crate::hsm::{HOTP, Hsm, OCRA, Said, hotp, ocra};
use link::{Commit, Life, Octets, Serial, SlotState, call};

const NEXT: bool = true;
const MENU: bool = false;
const SHORT: u64 = 100;
const LONG: u64 = 1_000;

fn provisioned() -> (Bench, [u8; 20]) {
    provisioned_as(HOTP)
}

fn provisioned_as(policy: [u8; 33]) -> (Bench, [u8; 20]) {
    let mut bench = Bench::new(Board::new(Flash::blank(16), 5, 5));
    let serial = Serial::parse("CST-5").unwrap();
    let key = bench.call(call::Personalise(serial)).unwrap();
    bench.call(call::Certify(Hsm::new(200).certify("CST-5", key))).unwrap();
    let hsm = Hsm::new(1);
    let start = hsm.start(0, 1);
    let challenge = bench.call(start.clone()).unwrap();
    let said = Said { serial: "CST-5".to_owned(), attestation_key: key, start, challenge };
    let granted = hsm.grant(&said, policy);
    bench.call(granted.install).unwrap();
    bench.call(Commit { counter: 1, tag: Octets(granted.server_tag) }).unwrap();
    (bench, granted.secret)
}

fn type_pin(bench: &mut Bench, pin: &str) {
    for digit in pin.bytes() {
        (b'0'..digit).for_each(|_| bench.press(NEXT, SHORT));
        bench.press(MENU, SHORT);
    }
    bench.press(MENU, LONG);
}

fn set_pin(bench: &mut Bench, pin: &str) {
    bench.press(MENU, SHORT);
    bench.press(NEXT, SHORT);
    bench.press(MENU, SHORT);
    type_pin(bench, pin);
    type_pin(bench, pin);
    bench.wait(5_000);
}

#[test]
fn a_pin_stands_before_every_code() {
    let (mut bench, secret) = provisioned();
    set_pin(&mut bench, "1302");
    let mut bench = bench.restart();
    assert!(bench.call(call::GetInfo).unwrap().pin_required);
    assert_eq!(bench.code(), None);
    type_pin(&mut bench, "1302");
    assert_eq!(bench.code(), Some(hotp(&secret, 0)));
    bench.wait(61_000);
    assert!(bench.board().shown.is_none(), "the display goes off");
    bench.press(NEXT, SHORT);
    assert_eq!(bench.code(), None, "the PIN is asked for again");
    type_pin(&mut bench, "1302");
    assert_eq!(bench.code(), Some(hotp(&secret, 1)));
}

/// From whatever is shown, or nothing, to an empty PIN.
fn ask_for_pin(bench: &mut Bench) {
    if bench.board().shown.is_none() {
        bench.press(NEXT, SHORT);
    }
    bench.press(NEXT, SHORT);
}

#[test]
fn wrong_pins_wait_longer_each_time_and_then_erase() {
    let (mut bench, _) = provisioned();
    set_pin(&mut bench, "1302");
    let mut bench = bench.restart();
    for tries in 1..=8u32 {
        ask_for_pin(&mut bench);
        type_pin(&mut bench, "0000");
        if tries == 4 {
            bench = bench.restart();
            ask_for_pin(&mut bench);
            type_pin(&mut bench, "1302");
            assert!(bench.call(call::GetInfo).unwrap().pin_required, "a reset does not shorten the wait");
        }
        assert_eq!(bench.call(call::GetInfo).unwrap().life == Life::Returned, tries == 8, "{tries}");
        bench.wait(1_000 << tries);
    }
    let info = bench.call(call::GetInfo).unwrap();
    assert!(!info.pin_required && info.owner.is_some());
}

#[test]
fn tries_within_the_wait_are_not_looked_at_and_not_counted() {
    let (mut bench, secret) = provisioned();
    set_pin(&mut bench, "1302");
    let mut bench = bench.restart();
    for tries in 1..=6u32 {
        ask_for_pin(&mut bench);
        type_pin(&mut bench, "0000");
        if tries < 6 {
            bench.wait(1_000 << tries);
        }
    }
    for _ in 0..5 {
        ask_for_pin(&mut bench);
        type_pin(&mut bench, "0000");
    }
    bench.wait(33_000);
    ask_for_pin(&mut bench);
    type_pin(&mut bench, "1302");
    assert_eq!(bench.code(), Some(hotp(&secret, 0)));
}

#[test]
fn without_flash_there_is_no_code_and_no_secret() {
    let (mut bench, _) = provisioned();
    let next = bench.board().flash.operations + 1;
    bench.board().flash.cut_at(next, crate::flash::Tear::Nothing, 1);
    assert_eq!(bench.code(), None, "a code whose counter is not on flash");
}

/// RFC 6287: the response to the question that was typed, from the home screen and again from the response.
#[test]
fn a_typed_question_is_answered() {
    let (mut bench, secret) = provisioned_as(OCRA);
    assert_eq!(bench.call(call::GetInfo).unwrap().slots[0], SlotState::Ocra);
    for question in ["00000000", "90210457", "11111111"] {
        assert_eq!(bench.code(), None, "NEXT opens the entry");
        type_pin(&mut bench, question);
        assert_eq!(bench.read(), Some(ocra(&secret, question.parse().unwrap())), "{question}");
    }
    bench.wait(30_000);
    assert_eq!(bench.read(), None, "it goes after a while");
}

/// Fewer digits give no response, more are not taken, and a hold of NEXT takes one back.
#[test]
fn a_question_has_its_length() {
    let (mut bench, secret) = provisioned_as(OCRA);
    bench.press(NEXT, SHORT);
    type_pin(&mut bench, "1234567");
    assert_eq!(bench.read(), None, "seven digits");
    type_pin(&mut bench, "9");
    assert_eq!(bench.read(), Some(ocra(&secret, 12_345_679)));
    bench.press(NEXT, SHORT);
    (0..12).for_each(|_| bench.press(MENU, SHORT));
    bench.press(NEXT, LONG);
    type_pin(&mut bench, "5");
    assert_eq!(bench.read(), Some(ocra(&secret, 5)), "the ninth zero is not taken, the eighth is replaced");
    bench.press(NEXT, SHORT);
    bench.press(NEXT, LONG);
    bench.press(MENU, LONG);
    assert_eq!(bench.read(), None, "back from an empty question is home");
}

#[test]
fn a_pin_stands_before_every_response() {
    let (mut bench, secret) = provisioned_as(OCRA);
    set_pin(&mut bench, "1302");
    let mut bench = bench.restart();
    bench.press(NEXT, SHORT);
    type_pin(&mut bench, "00000000");
    assert_eq!(bench.read(), None, "that was taken for a PIN");
    bench.wait(5_000);
    bench.press(NEXT, SHORT);
    type_pin(&mut bench, "1302");
    bench.press(NEXT, SHORT);
    type_pin(&mut bench, "00000000");
    assert_eq!(bench.read(), Some(ocra(&secret, 0)));
    bench.press(NEXT, SHORT);
    bench.press(MENU, SHORT);
    bench.wait(61_000);
    assert!(bench.board().shown.is_none(), "the display goes off");
    bench.press(NEXT, SHORT);
    bench.press(MENU, LONG);
    assert_eq!(bench.read(), None, "what was typed is gone, and the PIN is asked for again");
    bench.press(NEXT, SHORT);
    type_pin(&mut bench, "1302");
    bench.press(NEXT, SHORT);
    type_pin(&mut bench, "00000001");
    assert_eq!(bench.read(), Some(ocra(&secret, 1)));
}
