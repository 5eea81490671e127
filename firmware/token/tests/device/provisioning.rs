//! `docs/provisioning.md` end to end: the token's logic against a host and an HSM that were written from the
//! document.

use crate::board::{Bench, Board, NoAnswer, Person};
use crate::flash::{Flash, TEARS};
use crate::hsm::{Granted, HOTP, Hsm, Said, TOTP, UTC, hotp};
use link::{
    Abort, ClockState, Commit, Life, Octets, Order, Recovery, Refusal, Serial, SlotState, Start, Suite, call,
    recovery,
};

const SERIAL: &str = "CST-000017";
const PAGES: usize = 16;

fn refused<T>(refusal: Refusal) -> Result<T, NoAnswer> {
    Err(NoAnswer::Refused(refusal))
}

fn attested(number: u8) -> Bench {
    let mut bench = Bench::new(Board::new(Flash::blank(PAGES), number, number.into()));
    let serial = if number == 17 { SERIAL.to_owned() } else { format!("CST-{number:06}") };
    let key = bench.call(call::Personalise(Serial::parse(&serial).unwrap())).unwrap();
    bench.call(call::Certify(Hsm::new(200).certify(&serial, key))).unwrap();
    bench
}

fn start(bench: &mut Bench, start: &Start) -> Result<Said, NoAnswer> {
    let certificate = bench.call(call::GetInfo)?.certificate.unwrap();
    let challenge = bench.call(start.clone())?;
    let serial = certificate.serial.as_str().to_owned();
    let said = Said { serial, attestation_key: certificate.key, start: start.clone(), challenge };
    assert!(said.is_attested());
    Ok(said)
}

/// The host's part; a tag is only ever held after the token's was checked.
fn provision(
    bench: &mut Bench,
    hsm: &Hsm,
    (slot, nonce): (u8, u8),
    policy: [u8; 33],
    held: &mut Option<(Granted, u32)>,
) -> Result<Granted, NoAnswer> {
    let said = start(bench, &hsm.start(slot, nonce))?;
    let granted = hsm.grant(&said, policy);
    let tag = bench.call(granted.install.clone())?;
    assert_eq!(tag.0, granted.token_tag);
    *held = Some((granted.clone(), said.challenge.counter));
    bench.call(Commit { counter: said.challenge.counter, tag: Octets(granted.server_tag) })?;
    Ok(granted)
}

fn provisioned(number: u8) -> (Bench, Granted) {
    let mut bench = attested(number);
    let granted = provision(&mut bench, &Hsm::new(1), (0, 0x10), HOTP, &mut None).unwrap();
    (bench, granted)
}

fn obey(bench: &mut Bench, hsm: &Hsm, order: Order) -> Result<(), NoAnswer> {
    let (label, utc) = match order {
        Order::SetClock { utc } => ("countersign clock 1", Some(utc)),
        Order::Lock => ("countersign lock 1", None),
        Order::Return => ("countersign return 1", None),
        Order::Wipe => ("countersign wipe 1", None),
    };
    let challenge = bench.call(call::GetNonce)?.challenge;
    bench.call(call::Obey { order, signature: hsm.order(label, SERIAL, &challenge, utc) })
}

#[test]
fn a_secret_arrives_and_its_codes_are_the_hsm_s() {
    let (mut bench, granted) = provisioned(17);
    let info = bench.call(call::GetInfo).unwrap();
    assert_eq!((info.life, info.counter, info.pending), (Life::Provisioned, 1, None));
    assert_eq!(info.slots[..], [SlotState::Hotp, SlotState::Empty, SlotState::Empty, SlotState::Empty]);
    assert_eq!(info.certificate.unwrap().serial.as_str(), SERIAL);
    assert!(matches!(info.clock, ClockState::Set { utc, .. } if utc == UTC));
    for counter in 0..5 {
        assert_eq!(bench.code(), Some(hotp(&granted.secret, counter)), "{counter}");
    }
    let mut bench = bench.restart();
    assert_eq!(bench.code(), Some(hotp(&granted.secret, 5)), "a counter outlives the power");
    for secret in [&granted.secret[..8], &granted.secret[8..16]] {
        assert!(!bench.board().flash.contains(secret), "the secret rests in the clear");
        assert!(!bench.trace.windows(8).any(|window| window == secret), "the secret went over the wire");
    }
}

#[test]
fn a_time_based_secret_follows_the_clock_and_stops_with_it() {
    let mut bench = attested(17);
    let hsm = Hsm::new(1);
    let granted = provision(&mut bench, &hsm, (2, 0x10), TOTP, &mut None).unwrap();
    let step = UTC as u64 / 30;
    bench.press(false, 100);
    bench.press(false, 100);
    assert_eq!(bench.code(), Some(hotp(&granted.secret, step)));
    let rtc = bench.board().rtc.as_mut().unwrap();
    rtc.seconds += 30;
    assert_eq!(bench.read(), Some(hotp(&granted.secret, step + 1)), "the code changes with the step");
    bench.board().rtc.as_mut().unwrap().run += 1;
    assert_eq!(bench.read(), None, "a code without a clock");
    assert_eq!(bench.code(), None, "a code without a clock");
    assert_eq!(bench.call(call::GetInfo).unwrap().clock, ClockState::Lost);
    bench.wait(5_000);
    obey(&mut bench, &hsm, Order::SetClock { utc: UTC + 90 }).unwrap();
    assert_eq!(bench.code(), Some(hotp(&granted.secret, step + 3)));
}

#[test]
fn what_a_start_is_refused_for() {
    let (mut bench, _) = provisioned(17);
    let hsm = Hsm::new(1);
    let good = hsm.start(1, 3);
    for (wrong, refusal) in [
        (Start { slot: 4, ..good.clone() }, Refusal::Slot),
        (Start { suite: Suite::Hkdf, ..good.clone() }, Refusal::Suite),
        (Hsm::new(2).start(1, 3), Refusal::Host),
    ] {
        assert_eq!(bench.call(wrong), refused(refusal));
    }
    bench.person = Person::No;
    assert_eq!(bench.call(good.clone()), refused(Refusal::Denied));
    bench.person = Person::Away;
    assert_eq!(bench.call(good.clone()), refused(Refusal::NoPresence));
    bench.person = Person::Yes;
    bench.board().readout_protected = false;
    assert_eq!(bench.call(good.clone()), refused(Refusal::ReadoutOpen));
    bench.board().readout_protected = true;
    let mut fresh = attested(18);
    let off_the_curve = Start { host_key: Octets([4; 65]), ..good.clone() };
    assert_eq!(fresh.call(off_the_curve), refused(Refusal::Point));
    let mut blank = Bench::new(Board::new(Flash::blank(PAGES), 3, 3));
    assert_eq!(blank.call(good.clone()), refused(Refusal::Life));
    assert!(bench.call(good).is_ok());
}

/// Something else than what was said.
type Change = fn(&mut Said);

#[test]
fn a_grant_for_anything_else_is_refused() {
    let (mut bench, granted) = provisioned(17);
    let hsm = Hsm::new(1);
    let changes: [(&str, Change); 9] = [
        ("serial", |said| said.serial = "CST-000018".to_owned()),
        ("slot", |said| said.challenge.slot ^= 1),
        ("counter", |said| said.challenge.counter += 1),
        ("counter before", |said| said.challenge.counter -= 1),
        ("suite", |said| said.start.suite = Suite::Hkdf),
        ("host nonce", |said| said.start.host_nonce.0[15] ^= 1),
        ("device nonce", |said| said.challenge.device_nonce.0[0] ^= 1),
        ("host key", |said| said.start.host_key = Hsm::new(2).public()),
        ("ephemeral", |said| said.challenge.device_ephemeral = Hsm::new(3).public()),
    ];
    for (what, change) in changes {
        let said = start(&mut bench, &hsm.start(1, 0x20)).unwrap();
        let mut other = said.clone();
        change(&mut other);
        assert_eq!(bench.call(hsm.grant(&other, HOTP).install), refused(Refusal::Signature), "{what}");
        let late = hsm.grant(&said, HOTP).install;
        assert_eq!(bench.call(late), refused(Refusal::NoExchange), "{what}: a second chance");
    }
    let said = start(&mut bench, &hsm.start(1, 0x20)).unwrap();
    assert_eq!(bench.call(Hsm::new(2).grant(&said, HOTP).install), refused(Refusal::Signature));
    let said = start(&mut bench, &hsm.start(1, 0x20)).unwrap();
    bench.wait(121_000);
    assert_eq!(bench.call(hsm.grant(&said, HOTP).install), refused(Refusal::NoExchange), "too late");
    let info = bench.call(call::GetInfo).unwrap();
    assert_eq!((info.counter, info.pending), (1, None));
    bench.press(true, 100);
    assert_eq!(bench.code(), Some(hotp(&granted.secret, 0)));
}

#[test]
fn signed_nonsense_is_refused() {
    let mut bench = attested(17);
    let hsm = Hsm::new(1);
    let changed = |change: &[(usize, u8)]| {
        let mut policy = HOTP;
        change.iter().for_each(|&(at, value)| policy[at] = value);
        policy
    };
    for (policy, padded, refusal) in [
        (changed(&[(0, 3)]), vec![1; 32], Refusal::Policy),
        (changed(&[(2, 11)]), vec![1; 32], Refusal::Policy),
        (changed(&[(6, 30)]), vec![1; 32], Refusal::Policy),
        (changed(&[(32, 65)]), vec![1; 128], Refusal::Policy),
        (changed(&[(25, 0), (26, 0), (27, 0)]), vec![1; 32], Refusal::Time),
        (HOTP, vec![1; 32], Refusal::Wrapping),
        (HOTP, vec![0; 64], Refusal::Wrapping),
        (HOTP, vec![0; 24], Refusal::Wrapping),
    ] {
        let said = start(&mut bench, &hsm.start(0, 1)).unwrap();
        let install = hsm.grant_padded(&said, policy, &padded, [0; 20]).install;
        assert_eq!(bench.call(install), refused(refusal), "{policy:?}");
    }
}

#[test]
fn every_tampered_byte_is_refused() {
    let mut bench = attested(17);
    let hsm = Hsm::new(1);
    let mut tampered = 0;
    for (part, len) in [(0, 65), (1, 33), (2, 40), (3, 64)] {
        for at in 0..len {
            let said = start(&mut bench, &hsm.start(0, 1)).unwrap();
            let mut install = hsm.grant(&said, HOTP).install;
            let byte = match part {
                0 => &mut install.host_ephemeral.0[at],
                1 => &mut install.policy.0[at],
                2 => &mut install.wrapped[at],
                _ => &mut install.signature.0[at],
            };
            *byte ^= 1 << (at % 8);
            assert_eq!(bench.call(install), refused(Refusal::Signature), "{part} {at}");
            tampered += 1;
        }
    }
    let said = start(&mut bench, &hsm.start(0, 1)).unwrap();
    let granted = hsm.grant(&said, HOTP);
    bench.call(granted.install).unwrap();
    for at in 0..16 {
        let mut tag = Octets(granted.server_tag);
        tag.0[at] ^= 1;
        assert_eq!(bench.call(Commit { counter: 1, tag }), refused(Refusal::Tag), "{at}");
        tampered += 1;
    }
    let tag = Octets(granted.server_tag);
    assert_eq!(bench.call(Commit { counter: 1, tag: Octets(granted.token_tag) }), refused(Refusal::Tag));
    assert_eq!(bench.call(Commit { counter: 2, tag }), refused(Refusal::Counter));
    assert_eq!(bench.code(), None, "a pending secret makes no code");
    bench.call(Commit { counter: 1, tag }).unwrap();
    eprintln!("{tampered} tampered bytes");
}

#[test]
fn a_recorded_session_is_worth_nothing() {
    let mut bench = attested(17);
    let hsm = Hsm::new(1);
    let recorded = start(&mut bench, &hsm.start(0, 0x10)).unwrap();
    let granted = hsm.grant(&recorded, HOTP);
    bench.call(granted.install.clone()).unwrap();
    let commit = Commit { counter: 1, tag: Octets(granted.server_tag) };
    bench.call(commit.clone()).unwrap();

    assert_eq!(bench.call(granted.install.clone()), refused(Refusal::NoExchange));
    start(&mut bench, &hsm.start(0, 0x10)).unwrap();
    assert_eq!(bench.call(granted.install.clone()), refused(Refusal::Signature), "the same device");
    let mut other = attested(18);
    other.call(hsm.start(0, 0x10)).unwrap();
    assert_eq!(other.call(granted.install.clone()), refused(Refusal::Signature), "another device");
    assert_eq!(other.call(commit.clone()), refused(Refusal::Counter));
    // The last commit is answered again, and does nothing.
    assert_eq!(bench.call(commit), Ok(1));
    assert_eq!(bench.call(Abort { counter: 1 }), refused(Refusal::Counter));
    assert_eq!(bench.code(), Some(hotp(&granted.secret, 0)));
}

#[test]
fn orders_are_the_owner_s_and_serve_once() {
    let (mut bench, granted) = provisioned(17);
    let hsm = Hsm::new(1);
    let challenge = bench.call(call::GetNonce).unwrap().challenge;
    let signature = hsm.order("countersign wipe 1", SERIAL, &challenge, None);
    let lock = call::Obey { order: Order::Lock, signature };
    assert_eq!(bench.call(lock), refused(Refusal::Signature), "a signature for another order");
    let wipe = call::Obey { order: Order::Wipe, signature };
    assert_eq!(bench.call(wipe), refused(Refusal::NoExchange), "a challenge serves once");
    bench.call(call::GetNonce).unwrap();
    assert_eq!(bench.call(wipe), refused(Refusal::Signature), "an earlier challenge");
    assert_eq!(obey(&mut bench, &Hsm::new(2), Order::Wipe), refused(Refusal::Signature), "another host");
    assert_eq!(obey(&mut bench, &hsm, Order::SetClock { utc: 1_000 }), refused(Refusal::Time));
    bench.person = Person::No;
    assert_eq!(obey(&mut bench, &hsm, Order::Return), refused(Refusal::Denied));
    bench.person = Person::Yes;

    obey(&mut bench, &hsm, Order::Lock).unwrap();
    assert_eq!(bench.call(hsm.start(1, 1)), refused(Refusal::Life));
    assert_eq!(bench.code(), Some(hotp(&granted.secret, 0)), "a locked token shows codes");
    obey(&mut bench, &hsm, Order::Return).unwrap();
    assert_eq!(bench.code(), None);
    assert_eq!(bench.call(Hsm::new(2).start(0, 1)), refused(Refusal::Host), "a returned token has its owner");
    let granted = provision(&mut bench, &hsm, (0, 0x30), HOTP, &mut None).unwrap();
    bench.wait(5_000);
    assert_eq!(bench.code(), Some(hotp(&granted.secret, 0)));
    obey(&mut bench, &hsm, Order::Wipe).unwrap();
    let info = bench.call(call::GetInfo).unwrap();
    assert_eq!((info.life, info.owner, info.counter), (Life::Wiped, None, 2));
    provision(&mut bench, &Hsm::new(2), (0, 0x40), HOTP, &mut None).unwrap();
}

/// After anything that went wrong: what a station does with the next token plugged in.
fn recover(bench: &mut Bench, held: Option<&(Granted, u32)>) -> bool {
    let info = bench.call(call::GetInfo).unwrap();
    match recovery(&info, held.map(|(_, counter)| *counter)) {
        Recovery::None => false,
        Recovery::Abort { counter } => {
            bench.call(Abort { counter }).unwrap();
            false
        }
        Recovery::Commit { counter } => {
            let tag = Octets(held.unwrap().0.server_tag);
            bench.call(Commit { counter, tag }).unwrap();
            true
        }
    }
}

/// Old and usable, or new, known to the host and usable; and the token can simply be tried again.
fn is_whole(bench: &mut Bench, old: &Granted, held: Option<&(Granted, u32)>, at: &str) {
    let installed = recover(bench, held);
    let expected = if installed { &held.unwrap().0.secret } else { &old.secret };
    bench.wait(60_000 + 1_000);
    bench.press(true, 100);
    assert_eq!(bench.code(), Some(hotp(expected, 0)), "{at}");
    assert_eq!(bench.call(call::GetInfo).unwrap().pending, None, "{at}");
    let again = provision(bench, &Hsm::new(1), (0, 0x66), HOTP, &mut None).unwrap();
    assert_eq!(bench.code(), Some(hotp(&again.secret, 0)), "{at}: tried again");
}

#[test]
fn a_cable_pulled_at_every_byte_leaves_no_half_token() {
    let hsm = Hsm::new(1);
    let (mut whole, _) = provisioned(17);
    let before = whole.carried;
    provision(&mut whole, &hsm, (0, 0x22), HOTP, &mut None).unwrap();
    let bytes = whole.carried - before;
    let (mut kept, mut installed) = (0, 0);
    for pulled in 1..bytes {
        let (mut bench, old) = provisioned(17);
        bench.cable = Some(bench.carried + pulled);
        let mut held = None;
        let result = provision(&mut bench, &hsm, (0, 0x22), HOTP, &mut held);
        assert_eq!(result.err(), Some(NoAnswer::Unplugged), "{pulled}");
        bench.cable = None;
        if pulled % 2 == 0 {
            bench = bench.restart();
        }
        if held.is_some() {
            installed += 1
        } else {
            kept += 1
        }
        is_whole(&mut bench, &old, held.as_ref(), &format!("pulled after {pulled} bytes"));
    }
    eprintln!("{bytes} bytes: {kept} pulls kept the old secret, {installed} gave the new one");
}

#[test]
fn a_power_cut_at_every_flash_operation_leaves_no_half_token() {
    let hsm = Hsm::new(1);
    let (mut whole, _) = provisioned(17);
    let before = whole.board().flash.operations;
    provision(&mut whole, &hsm, (0, 0x22), HOTP, &mut None).unwrap();
    let operations = whole.board().flash.operations - before;
    let mut cuts = 0;
    for operation in 1..=operations {
        for tear in TEARS {
            let (mut bench, old) = provisioned(17);
            let at = bench.board().flash.operations + operation;
            bench.board().flash.cut_at(at, tear, operation);
            let mut held = None;
            let result = provision(&mut bench, &hsm, (0, 0x22), HOTP, &mut held);
            assert!(result.is_err(), "{operation} {tear:?}");
            let mut bench = bench.restart();
            is_whole(&mut bench, &old, held.as_ref(), &format!("cut {operation} {tear:?}"));
            cuts += 1;
        }
    }
    eprintln!("{operations} operations, {cuts} cuts");
}

#[test]
fn a_repeated_request_is_answered_and_not_carried_out_again() {
    let (mut bench, _) = provisioned(17);
    let hsm = Hsm::new(1);
    bench.person = Person::Away;
    let asked = bench.call(hsm.start(1, 9));
    assert_eq!(asked, refused(Refusal::NoPresence));
    bench.person = Person::Yes;
    let said = start(&mut bench, &hsm.start(1, 9)).unwrap();
    let granted = hsm.grant(&said, HOTP);
    bench.call(granted.install).unwrap();
    assert_eq!(bench.call(hsm.start(1, 9)), refused(Refusal::PendingExists));
    for _ in 0..3 {
        assert_eq!(bench.call(Abort { counter: 2 }), Ok(2));
    }
    assert_eq!(bench.call(Commit { counter: 2, tag: Octets(granted.server_tag) }), refused(Refusal::Counter));
}

/// A returned or wiped token shows no code, not even the one that was on its display.
#[test]
fn a_code_leaves_the_display_with_its_secret() {
    for order in [Order::Return, Order::Wipe] {
        let (mut bench, granted) = provisioned(17);
        assert_eq!(bench.code(), Some(hotp(&granted.secret, 0)));
        obey(&mut bench, &Hsm::new(1), order).unwrap();
        assert_eq!(bench.read(), None, "{order:?}");
    }
}
