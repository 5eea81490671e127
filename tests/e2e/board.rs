//! The token's real image on an emulated board, with the real appliance: from the factory to an accepted code, and
//! through what can go wrong on the way. Codes and questions are read from the pixels that the board sends to its
//! display.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use tests::Appliance;
use tests::appliance::told;
use tests::board::{Board, Flash, PAINT, Place, instructions};
use tests::image::{self, Image};
use tests::tap::{Hand, Way};
use tests::technician::Bench;
use token::link::call::{GetDiagnostics, GetInfo};
use token::link::{Answer, ClockState, Envelope, Info, Install, Life, Request, decode, encode};

/// Static data and stack together, of the part's 16 KiB.
const RAM_MAX: usize = 14 * 1024;
/// The lowest address of the stack.
const STACK_END: u32 = 0x2000_0000;
const SERIAL: &str = "CST-000001";
const HOTP: [&str; 5] = ["provision", "--type", "hotp", "--digits", "8"];

fn check_stack(board: &mut Board, when: &str) {
    let image = Image::read(&image::path("token"));
    let data = image.symbol("__euninit") - image.symbol("_stack_start");
    let data = usize::try_from(data).expect("below the part's RAM");
    let used = board.stack_used();
    println!("{when}: {used} bytes of stack");
    assert!(used + data <= RAM_MAX, "{when}: {used} bytes of stack and {data} of static data");
    let said = usize::try_from(board.ask(GetDiagnostics).stack_used).expect("below the part's RAM");
    assert!((1..=board.stack_used()).contains(&said) && said >= used, "{when}: the token says {said}");
}

/// What the token says, which must be whole: nothing pending.
fn settled(board: &Board) -> Info {
    let info = board.ask(GetInfo);
    assert_eq!(info.pending, None, "{info:?}");
    info
}

fn accepts(rig: &Appliance, code: &str) -> bool {
    rig.admin().verify_token(SERIAL, code).accepted()
}

fn assign(rig: &Appliance) {
    rig.user("alice");
    rig.cli_json(&["token", "assign", SERIAL, "--user", "alice"]);
}

/// OATH-01, on the reference board: the secret is made in the HSM, wrapped to the chip, and survives its power.
///
/// Red when the image faults, runs out of stack, forgets its counter in a power cut, draws something else than the
/// code, or is another than the one that was built.
#[test]
fn a_board_is_provisioned_and_survives_a_power_cut() {
    let Bench { rig, maker, .. } = Bench::start();
    let place = Place::new(&rig, SERIAL, &maker);
    let mut board = place.start(None);
    assert_eq!(board.said("life"), "Attested");
    let firmware = board.run_well(&rig, &["firmware", "info"]);
    assert_eq!(firmware["hash"], Image::read(&image::path("token")).sha256(), "{firmware}");
    let made = board.run_well(&rig, &HOTP);
    assert_eq!(
        (made["serial"].as_str(), made["state"].as_str()),
        (Some(SERIAL), Some("provisioned")),
        "{made}"
    );
    assert!(made["error"].is_null(), "{made}");
    assign(&rig);
    let first = board.code(8);
    assert!(accepts(&rig, &first), "{first}");
    assert!(!accepts(&rig, &first), "the same code again");
    check_stack(&mut board, "provisioning");
    let mut board = place.start(Some(&board.cut()));
    assert_eq!(board.said("life"), "Provisioned");
    check_stack(&mut board, "a start with a secret");
    let second = board.code(8);
    assert_ne!(first, second);
    assert!(accepts(&rig, &second), "{second}");
    assert!(!accepts(&rig, &first), "a code from before the cut");
    rig.check_chain();
}

/// RFC 6238 on a board without a battery behind its clock: no code without the time, and the owner's word sets it.
///
/// Red when a code is shown for a guessed time, or the grant's or the order's time is not taken.
#[test]
fn a_clock_lost_with_the_power_shows_no_code_until_it_is_set() {
    let Bench { rig, maker, .. } = Bench::start();
    let place = Place::new(&rig, SERIAL, &maker);
    let mut board = place.start(None);
    board.run_well(&rig, &["provision", "--type", "totp"]);
    assign(&rig);
    let first = board.code(6);
    assert!(accepts(&rig, &first), "{first}");
    let mut board = place.start(Some(&board.cut()));
    assert_eq!(settled(&board).clock, ClockState::Lost);
    board.press_for_text(2, "CLOCK LOST");
    board.await_text(3, "HAVE IT SET");
    assert!(board.picture().is_none_or(|picture| picture.digits(6).is_none()), "a code without the time");
    let set = board.run_well(&rig, &["set-clock"]);
    assert!(set["error"].is_null(), "{set}");
    let second = board.code(6);
    // Within one step it is the same code, which tells that the time is right.
    assert!(second == first || accepts(&rig, &second), "{first}, then {second}");
    check_stack(&mut board, "setting the clock");
}

/// Flips the lowest bit of something in an install.
type Flip = fn(&mut Install);

/// Changes installs on their way while it is armed.
fn tamperer(armed: &Arc<AtomicBool>, flip: Flip) -> Hand {
    let armed = Arc::clone(armed);
    Box::new(move |_, way, message| {
        if way == Way::ToHost || !armed.load(Ordering::Acquire) {
            return Some(message);
        }
        match decode::<Request>(&message) {
            Ok(Envelope { sequence, body: Request::Install(mut install) }) => {
                flip(&mut install);
                Some(encode(&Envelope { sequence, body: Request::Install(install) }).to_vec())
            }
            _ => Some(message),
        }
    })
}

/// `docs/provisioning.md`, step 4, through the real serial port: whatever bit of an install is changed, the board
/// refuses it and is as before.
///
/// Red when a part is not under the signature, or a refused install leaves something in flash.
#[test]
fn a_tampered_install_is_refused_and_changes_nothing() {
    let Bench { rig, maker, .. } = Bench::start();
    let flips: [(&str, Flip); 4] = [
        ("CST-000011", |install| install.host_ephemeral.0[64] ^= 1),
        ("CST-000012", |install| install.policy.0[2] ^= 1),
        ("CST-000013", |install| install.wrapped[0] ^= 1),
        ("CST-000014", |install| install.signature.0[63] ^= 1),
    ];
    std::thread::scope(|scope| {
        for (serial, flip) in flips {
            let (rig, maker) = (&rig, &maker);
            scope.spawn(move || {
                let armed = Arc::new(AtomicBool::new(true));
                let mut board = Place::new(rig, serial, maker).start_watched(None, tamperer(&armed, flip));
                let before = board.flash();
                let refused = board.run(rig, &HOTP);
                assert_eq!(refused.status.code(), Some(1), "{serial}: {}", told(&refused));
                assert!(told(&refused).contains("signature does not hold"), "{serial}: {}", told(&refused));
                assert!(board.flash() == before, "{serial}: the flash has changed");
                let info = settled(&board);
                assert_eq!((info.life, info.counter), (Life::Attested, 0), "{serial}");
                armed.store(false, Ordering::Release);
                let made = board.run_well(rig, &HOTP);
                assert!(made["error"].is_null(), "{serial}: {made}");
            });
        }
    });
    rig.check_chain();
}

/// The board's owner is the first appliance; another one that trusts the same maker cannot take it over.
///
/// Red when the pinned key is not compared.
#[test]
fn another_appliance_is_refused_by_a_board_that_has_an_owner() {
    let bench = Bench::start();
    let Bench { rig: stranger, .. } = bench.beside();
    let Bench { rig, maker, .. } = bench;
    let mut board = Place::new(&rig, SERIAL, &maker).start(None);
    board.run_well(&rig, &HOTP);
    let before = board.flash();
    let refused = board.run(&stranger, &HOTP);
    assert_eq!(refused.status.code(), Some(1), "{}", told(&refused));
    assert!(told(&refused).contains("another host owns the token"), "{}", told(&refused));
    assert!(board.flash() == before, "the flash has changed");
    assign(&rig);
    let code = board.code(8);
    assert!(accepts(&rig, &code), "{code}");
}

/// What a message is, for whoever waits for a certain one.
fn is_commit(way: Way, message: &[u8]) -> bool {
    way == Way::ToToken && matches!(decode::<Request>(message), Ok(Envelope { body: Request::Commit(_), .. }))
}

fn is_install(way: Way, message: &[u8]) -> bool {
    way == Way::ToToken
        && matches!(decode::<Request>(message), Ok(Envelope { body: Request::Install(_), .. }))
}

fn is_installed(way: Way, message: &[u8]) -> bool {
    way == Way::ToHost
        && matches!(decode::<Answer>(message), Ok(Envelope { body: Answer::Installed { .. }, .. }))
}

fn is_committed(way: Way, message: &[u8]) -> bool {
    way == Way::ToHost
        && matches!(decode::<Answer>(message), Ok(Envelope { body: Answer::Committed { .. }, .. }))
}

/// A kind of message.
type Kind = fn(Way, &[u8]) -> bool;

/// Resets the board once, before a message of this kind goes on.
fn resetter(kind: Kind) -> Hand {
    let mut is_done = false;
    Box::new(move |monitor, way, message| {
        if !is_done && kind(way, &message) {
            is_done = true;
            monitor.reset();
        }
        Some(message)
    })
}

/// `docs/provisioning.md`, "After a cut anywhere": a reset loses the exchange that was open, and nothing else.
///
/// Red when a reset board takes an install of an exchange it has forgotten, or forgets a pending secret, a
/// committed one, or that it has answered a commit.
#[test]
fn a_reset_between_any_two_steps_loses_no_more_than_the_exchange() {
    let Bench { rig, maker, .. } = Bench::start();
    let steps: [(&str, Kind, bool); 4] = [
        ("CST-000021", is_install, false),
        ("CST-000022", is_installed, true),
        ("CST-000023", is_commit, true),
        ("CST-000024", is_committed, true),
    ];
    std::thread::scope(|scope| {
        for (serial, kind, survives) in steps {
            let (rig, maker) = (&rig, &maker);
            scope.spawn(move || {
                let mut board = Place::new(rig, serial, maker).start_watched(None, resetter(kind));
                let first = board.run(rig, &HOTP);
                assert_eq!(first.status.success(), survives, "{serial}: {}", told(&first));
                let info = settled(&board);
                if survives {
                    assert_eq!((info.life, info.counter), (Life::Provisioned, 1), "{serial}");
                } else {
                    assert!(told(&first).contains("no open exchange"), "{serial}: {}", told(&first));
                    assert_eq!((info.life, info.counter), (Life::Attested, 0), "{serial}");
                    let made = board.run_well(rig, &HOTP);
                    assert!(made["error"].is_null(), "{serial}: {made}");
                }
            });
        }
    });
    rig.check_chain();
}

/// A run of this many bytes with so many different ones is ciphertext: the fields in clear are shorter.
const RUN: usize = 24;
const RUN_DISTINCT: usize = 17;

/// Cuts in all, on as many boards at once as there are serials.
const CUT_BOARDS: u32 = 5;
const CUTS_EACH: u32 = 2;
/// Messages of a provisioning, and operations of the flash controller: a page erased or a word written.
const MESSAGES: u32 = 12;
const OPERATIONS: u32 = 300;

/// Counts messages down once it is set, and cuts the power before the last one goes on.
fn cutter(left: &Arc<AtomicU32>) -> Hand {
    let left = Arc::clone(left);
    Box::new(move |monitor, _, message| {
        let counted = left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1));
        if counted == Ok(1) {
            monitor.cut();
        }
        (!monitor.is_dead()).then_some(message)
    })
}

/// Numbers without a pattern, the same in every run (xorshift).
fn noise(mut seed: u32) -> impl FnMut(u32) -> u32 {
    move |below| {
        seed ^= seed << 13;
        seed ^= seed >> 17;
        seed ^= seed << 5;
        seed % below
    }
}

/// Where the power goes.
#[derive(Clone, Copy, Debug)]
enum Cut {
    /// Before this message, from 1.
    Message(u32),
    /// Before this operation of the flash controller, from 1.
    Operation(u32),
}

/// One provisioning with a cut in it; the flash that is left.
fn cut_once(rig: &Appliance, place: &Place, flash: Option<&Flash>, cut: Cut) -> Flash {
    let left = Arc::new(AtomicU32::new(0));
    let mut board = match cut {
        Cut::Message(_) => place.start_watched(flash, cutter(&left)),
        Cut::Operation(_) => place.start(flash),
    };
    // Stays at the core until the flash was read.
    let _debugger = std::thread::scope(|scope| {
        let debugger = match cut {
            Cut::Message(nth) => {
                left.store(nth, Ordering::Release);
                None
            }
            Cut::Operation(nth) => {
                let (mut debugger, monitor) = (board.debugger(), board.monitor.clone());
                let operation = Image::read(&image::path("token")).symbol("5board4nvmc4with");
                Some(scope.spawn(move || {
                    debugger.run_to_nth(operation, nth);
                    monitor.cut();
                    debugger
                }))
            }
        };
        let output = board.run(rig, &HOTP);
        assert!(board.monitor.is_dead(), "{cut:?} did not happen: {}", told(&output));
        debugger.map(|debugger| debugger.join().expect("the debugger"))
    });
    board.cut()
}

/// After a cut: as before, or pending, or committed and known to the appliance; then the same command succeeds.
fn recovers(rig: &Appliance, place: &Place, serial: &str, before: u32, flash: &Flash, at: &str) -> Board {
    let mut board = place.start(Some(flash));
    let info = board.ask(GetInfo);
    let known = |rig: &Appliance| {
        let device = rig.admin().get(&format!("/v1/provisioning/devices/{serial}"));
        (device.status == 200).then(|| device.json()["counter"].as_u64()).flatten().unwrap_or(0)
    };
    match info.pending {
        Some(pending) => assert_eq!((pending.counter, info.counter), (before + 1, before + 1), "{at}"),
        None if info.counter == before => {}
        None => assert_eq!((info.counter, known(rig)), (before + 1, u64::from(before + 1)), "{at}"),
    }
    let made = board.run_well(rig, &HOTP);
    assert!(made["error"].is_null(), "{at}: {made}");
    assert_eq!(u64::from(settled(&board).counter), known(rig), "{at}");
    board
}

/// `docs/provisioning.md`, "After a cut anywhere": at a message or at an operation of the flash controller.
///
/// Red when a cut leaves a token that the appliance does not know, or that the next run does not mend.
#[test]
fn a_power_cut_anywhere_in_a_provisioning_is_mended_by_the_next() {
    let Bench { rig, maker, .. } = Bench::start();
    let cuts = std::thread::scope(|scope| {
        let boards: Vec<_> = (1..=CUT_BOARDS)
            .map(|number| {
                let (rig, maker) = (&rig, &maker);
                scope.spawn(move || cut_and_mend(rig, maker, number))
            })
            .collect();
        boards.into_iter().flat_map(|board| board.join().expect("a board")).collect::<Vec<_>>()
    });
    println!("{} cuts: {cuts:?}", cuts.len());
    rig.check_chain();
}

fn cut_and_mend(rig: &Appliance, maker: &std::path::Path, number: u32) -> Vec<Cut> {
    let serial = format!("CST-00003{number}");
    let place = Place::new(rig, &serial, maker);
    let mut noise = noise(0x5eed_0000 + number);
    let (mut flash, mut counter) = (None, 0);
    let mut cuts = Vec::new();
    for turn in 0..CUTS_EACH {
        let cut = match (number + turn) % 2 {
            0 => Cut::Message(1 + noise(MESSAGES)),
            _ => Cut::Operation(1 + noise(OPERATIONS)),
        };
        let at = format!("{serial}, turn {turn}, {cut:?}");
        let left = cut_once(rig, &place, flash.as_ref(), cut);
        let board = recovers(rig, &place, &serial, counter, &left, &at);
        counter = settled(&board).counter;
        flash = Some(board.cut());
        cuts.push(cut);
    }
    let mut board = place.start(flash.as_ref());
    let user = serial.to_lowercase();
    rig.user(&user);
    rig.cli_json(&["token", "assign", &serial, "--user", &user]);
    let code = board.code(8);
    assert!(rig.admin().verify_token(&serial, &code).accepted(), "{serial}: {code}");
    cuts
}

/// A stack that runs over its end, after a counter was burnt and before its code is shown: the core faults and
/// resets, the start-up code leaves nothing in RAM, and the next code is the next but one.
///
/// Red when the fault locks the core up, when a secret outlives the reset, or when a code may be shown twice.
#[test]
fn a_stack_overflow_resets_the_board_and_leaves_nothing_in_ram() {
    let Bench { rig, maker, .. } = Bench::start();
    let mut board = Place::new(&rig, SERIAL, &maker).start(None);
    board.run_well(&rig, &HOTP);
    assign(&rig);
    let first = board.code(8);
    assert!(accepts(&rig, &first), "{first}");
    assert_eq!(rig.show_token(SERIAL)["last_used"], 0);
    let image = Image::read(&image::path("token"));
    let (code, main) = (image.symbol("5token3otp4code"), image.symbol("main"));
    let mut debugger = board.debugger();
    std::thread::scope(|scope| {
        let overflow = scope.spawn(|| {
            debugger.run_to(code);
            debugger.set_stack_pointer(STACK_END + 16);
            debugger.run_to(main);
        });
        board.press_until("the overflow", |_| overflow.is_finished().then_some(()));
    });
    let (stack, data) = board.ram();
    assert!(stack.iter().all(|&byte| byte == PAINT), "the stack outlives the reset");
    assert!(data.iter().all(|&byte| byte == 0), "static data outlive the reset");
    debugger.go();
    assert_eq!(settled(&board).life, Life::Provisioned);
    let (stack, _) = board.ram();
    assert!(stack.iter().any(|&byte| byte != PAINT), "the check finds what is there");
    let next = board.code(8);
    assert_ne!(first, next);
    assert!(accepts(&rig, &next), "{next}");
    assert_eq!(rig.show_token(SERIAL)["last_used"], 2, "the counter of the code that was not shown is burnt");
    rig.check_chain();
}

/// Runs of bytes in flash that look like ciphertext, keys or signatures.
fn runs(flash: &Flash) -> HashSet<&[u8]> {
    let is_noise = |run: &&[u8]| run.iter().collect::<HashSet<_>>().len() >= RUN_DISTINCT;
    flash.state().windows(RUN).filter(is_noise).collect()
}

/// `docs/provisioning.md`, "Wipe": what the provisioning wrote is gone from the flash itself, not only from sight.
///
/// Red when an old snapshot or a record stays behind. A secret at rest has at least 24 bytes under its wrapping.
#[test]
fn a_wiped_board_holds_nothing_of_its_secret() {
    let Bench { rig, maker, .. } = Bench::start();
    let place = Place::new(&rig, SERIAL, &maker);
    let mut board = place.start(None);
    let attested = board.flash();
    board.run_well(&rig, &HOTP);
    board.code(8);
    let provisioned = board.flash();
    let (before, with_secret) = (runs(&attested), runs(&provisioned));
    let written: HashSet<_> = with_secret.difference(&before).collect();
    assert!(written.len() > RUN, "the check finds what is there");
    let wiped = board.run_well(&rig, &["wipe"]);
    assert_eq!((wiped["state"].as_str(), wiped["error"].is_null()), (Some("wiped"), true), "{wiped}");
    let flash = board.cut();
    let left = runs(&flash);
    assert!(!left.is_disjoint(&before), "its identity stays");
    let remnants = written.iter().filter(|run| left.contains(**run)).count();
    assert_eq!(remnants, 0, "of {} runs", written.len());
    println!("{} runs of {RUN} bytes erased", written.len());
    let mut board = place.start(Some(&flash));
    assert_eq!(settled(&board).life, Life::Wiped);
    board.press_for_text(2, "NO SECRET");
}

/// RFC 4226 and RFC 6238 on the emulated Cortex-M0, in instructions per code.
///
/// Red when the image's timings are not read, or are of something else than an HMAC of three or four blocks.
#[test]
fn a_code_takes_a_plausible_number_of_instructions() {
    let found = instructions().expect("the image of the vectors");
    let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["hotp-sha1", "hotp-sha256", "totp-sha1"]);
    for (name, count) in &found {
        println!("{name}: {count} instructions");
        assert!((10_000..2_000_000).contains(count), "{name}: {count}");
    }
}
