//! The power goes at every single operation, torn in every way, and again while starting: what was acknowledged
//! holds, what was not is as before or as asked, and an erased secret is nowhere.

use std::collections::BTreeSet;
use std::format;
use std::string::String;
use std::vec;
use std::vec::Vec;

use link::Hash;
use proptest::prelude::*;

use super::*;
use flash::{Flash, PAGE, TEARS, Tear};

#[path = "../../tests/device/flash.rs"]
mod flash;
mod repeated;

/// Two banks of two snapshot pages and two log pages: the log turns over after 128 records.
const PAGES: usize = 8;

const DEVICE_KEY: [u8; 32] = [0x5d; 32];
const UTC: i64 = 1_800_000_000;

#[derive(Debug, Clone, Copy)]
enum Act {
    Personalise,
    Certify,
    Install { slot: u8, id: u8 },
    Commit,
    Abort,
    Burn { slot: usize },
    SetPin(&'static [u8]),
    Relock,
    TryPin(&'static [u8]),
    SetClock,
    Lock,
    GiveBack,
    Wipe,
}

fn fresh(seed: u8) -> Fresh {
    Fresh { key: [seed; 32], salt: [seed ^ 0x77; 16] }
}

fn secret(id: u8) -> [u8; 32] {
    core::array::from_fn(|i| if i < 20 { id.wrapping_mul(31).wrapping_add(i as u8 * 7) | 1 } else { 0 })
}

fn policy(id: u8) -> Policy {
    Policy {
        kind: Kind::Hotp,
        hash: Hash::Sha1,
        digits: 6,
        checksum: false,
        truncation: -1,
        period: 0,
        counter0: u64::from(id) * 1_000,
        t0: 0,
        utc: UTC,
        secret_len: 20,
    }
}

fn certificate(vault: &Vault) -> MakerCertificate {
    let identity = vault.state.identity.as_ref().unwrap();
    MakerCertificate {
        maker: Octets([1; 8]),
        serial: identity.serial.clone(),
        key: identity.key,
        issued: 1,
        expires: 2,
        signature: Octets([3; 64]),
    }
}

impl Act {
    fn run(self, vault: &mut Vault, flash: &mut Flash) -> Result<(), Refusal> {
        match self {
            Self::Personalise => {
                let serial = Serial::parse("CST-000001").unwrap();
                vault.personalise(flash, serial, &Zeroizing::new([0x21; 32]), Octets([4; 65]))
            }
            Self::Certify => vault.certify(flash, certificate(vault)),
            Self::Install { slot, id } => {
                let installed = Installed {
                    slot,
                    counter: vault.counter() + 1,
                    policy: &policy(id),
                    padded: &secret(id),
                    tag: Octets([id; 16]),
                    owner: Octets([9; 65]),
                    clock: None,
                };
                vault.install(flash, &installed)
            }
            Self::Commit => {
                let pending = vault.state.pending.as_ref().unwrap();
                let commit = Commit { counter: pending.counter, tag: pending.tag };
                vault.commit(flash, &commit)
            }
            Self::Abort => vault.abort(flash, vault.counter()),
            Self::Burn { slot } => vault.burn(flash, slot).map(|_| ()),
            Self::SetPin(pin) => vault.set_pin(flash, pin, [pin.len() as u8; 16]),
            Self::Relock => {
                vault.relock();
                Ok(())
            }
            Self::TryPin(pin) => vault.try_pin(flash, pin, &fresh(0x99)).map(|_| ()),
            Self::SetClock => {
                vault.set_clock(flash, Setting::new(None, UTC, crate::Rtc { run: 1, seconds: 2 }))
            }
            Self::Lock => vault.lock(flash),
            Self::GiveBack => vault.give_back(flash, &fresh(0xa1)),
            Self::Wipe => vault.wipe(flash, &fresh(0xb2)),
        }
    }
}

/// Everything a person or a host could tell, and the sealed blobs that are rightly there.
fn view(vault: &Vault) -> String {
    let state = &vault.state;
    format!("{state:?}")
}

fn sealed(vault: &Vault) -> BTreeSet<Vec<u8>> {
    let state = &vault.state;
    let slots = state.slots.iter().flatten().map(|slot| slot.secret.to_vec());
    let pending = state.pending.iter().map(|pending| pending.secret.to_vec());
    slots.chain(pending).chain([state.lock.data_key.0.to_vec()]).collect()
}

fn start(flash: &mut Flash) -> Result<Vault, StorageFault> {
    let salt = core::array::from_fn(|i| flash.operations.to_be_bytes()[i % 8]);
    open(flash, DEVICE_KEY, &Fresh { key: [0x42; 32], salt })
}

fn open(flash: &mut Flash, device_key: [u8; 32], fresh: &Fresh) -> Result<Vault, StorageFault> {
    let mut vault = None;
    Vault::open(&mut vault, flash, device_key, fresh)?;
    Ok(vault.unwrap())
}

/// Two provisionings, one aborted, a re-provisioning, 300 codes over two page turnovers, PINs right, wrong and
/// changed, and the end of a life.
fn scenario() -> Vec<Act> {
    let mut acts = vec![
        Act::Personalise,
        Act::Certify,
        Act::Install { slot: 0, id: 1 },
        Act::Commit,
        Act::Burn { slot: 0 },
        Act::Install { slot: 1, id: 2 },
        Act::Abort,
        Act::Install { slot: 1, id: 3 },
        Act::Commit,
    ];
    acts.extend((0..300).map(|turn| Act::Burn { slot: usize::from(turn % 7 == 0) }));
    acts.extend([
        Act::Install { slot: 0, id: 4 },
        Act::Commit,
        Act::Burn { slot: 0 },
        Act::SetClock,
        Act::SetPin(b"1234"),
        Act::Relock,
        Act::TryPin(b"4321"),
        Act::TryPin(b"1111"),
        Act::Burn { slot: 1 },
        Act::TryPin(b"1234"),
        Act::SetPin(b"567890"),
        Act::Install { slot: 2, id: 5 },
        Act::Commit,
        Act::Burn { slot: 2 },
        Act::Lock,
        Act::Relock,
    ]);
    acts.extend([Act::TryPin(b"0000"); PIN_TRIES as usize]);
    acts.extend([
        Act::Install { slot: 3, id: 6 },
        Act::Commit,
        Act::Burn { slot: 3 },
        Act::GiveBack,
        Act::Install { slot: 0, id: 7 },
        Act::Commit,
        Act::Wipe,
    ]);
    acts
}

/// The scenario without a cut: the state, the sealed blobs and the flash after each act.
struct Course {
    acts: Vec<Act>,
    views: Vec<String>,
    sealed: Vec<BTreeSet<Vec<u8>>>,
    ends: Vec<u64>,
    ever: BTreeSet<Vec<u8>>,
}

/// Bytes of a blob that are looked for together.
const PART: usize = 8;

/// Looks through the flash once, whatever the number of blobs: this is most of what these tests do.
fn no_remnant(flash: &Flash, vault: &Vault, ever: &BTreeSet<Vec<u8>>, at: &str) {
    let rightly = sealed(vault);
    let mut parts: [Vec<&[u8]>; 1 << u8::BITS] = [const { Vec::new() }; _];
    for part in ever.difference(&rightly).flat_map(|blob| blob.chunks_exact(PART)) {
        parts[usize::from(part[0])].push(part);
    }
    let is_remnant = |place: &[u8]| parts[usize::from(place[0])].contains(&place);
    assert!(!flash.image().windows(PART).any(is_remnant), "{at}: a remnant");
}

fn course() -> Course {
    let mut flash = Flash::blank(PAGES);
    let mut vault = start(&mut flash).unwrap();
    let mut course = Course {
        acts: scenario(),
        views: vec![view(&vault)],
        sealed: vec![sealed(&vault)],
        ends: vec![flash.operations],
        ever: sealed(&vault),
    };
    for (at, act) in course.acts.clone().into_iter().enumerate() {
        act.run(&mut vault, &mut flash).unwrap_or_else(|refusal| panic!("{at} {act:?}: {refusal:?}"));
        course.views.push(view(&vault));
        course.sealed.push(sealed(&vault));
        course.ends.push(flash.operations);
        course.ever.extend(sealed(&vault));
        no_remnant(&flash, &vault, &course.ever, &format!("{at} {act:?}"));
        for id in 1..=7 {
            assert!(!flash.contains(&secret(id)[..8]), "a secret in the clear");
        }
    }
    course
}

/// Runs until the cut; how many acts were acknowledged. `None`: the cut came before the first start was over.
fn run_to_cut(course: &Course, flash: &mut Flash) -> Option<usize> {
    let mut vault = start(flash).ok()?;
    let done = course.acts.iter().take_while(|act| act.run(&mut vault, flash).is_ok()).count();
    assert!(flash.is_dead(), "no cut");
    Some(done)
}

/// Between before and after: the try of a PIN is on flash before its verdict is.
fn is_tried(found: &Vault, course: &Course, done: usize) -> bool {
    let mut vault_before = course.views[done].clone();
    let failures = found.state.lock.failures;
    if matches!(course.acts.get(done), Some(Act::TryPin(_))) && failures > 0 {
        let before = format!("failures: {}", failures - 1);
        vault_before = vault_before.replace(&before, &format!("failures: {failures}"));
    }
    view(found) == vault_before
}

fn check(course: &Course, flash: &mut Flash, done: Option<usize>, at: &str) {
    let vault = start(flash).unwrap_or_else(|_| panic!("{at}: does not start"));
    let found = view(&vault);
    match done {
        // The random data key of a first start is as good as another.
        None => assert_eq!(vault.life(), Life::Factory, "{at}"),
        Some(done) => {
            let last = course.views.get(done + 1).unwrap_or(&course.views[done]);
            let erased_by_tries = vault.state.lock.failures == 0
                && matches!(course.acts.get(done), Some(Act::TryPin(_)))
                && vault.life() == Life::Returned;
            assert!(
                found == course.views[done]
                    || found == *last
                    || is_tried(&vault, course, done)
                    || erased_by_tries,
                "{at}: {done} done, then {:?}\n{found}\n{}\n{last}",
                course.acts.get(done),
                course.views[done],
            );
        }
    }
    no_remnant(flash, &vault, &course.ever, at);
}

/// What no later start may find otherwise.
fn stable(vault: &Vault) -> String {
    let mut state = vault.state.clone();
    if state.identity.is_none() {
        state.lock = factory_state().lock;
    }
    state.lock.failures = 0;
    state.slots.iter_mut().flatten().for_each(|slot| slot.next = 0);
    format!("{state:?}")
}

/// What was torn may read otherwise at each later start: nothing that was found or done since may change. Two
/// things may, and only to the safe side: a first start that was cut draws another data key, which nothing is
/// under yet, and a torn record of the last PIN try may count later than the first time it is read.
fn live_on(course: &Course, flash: &mut Flash, at: &str) {
    let mut found = start(flash).map(|vault| (stable(&vault), vault.pin_failures())).unwrap();
    let mut given = [None; SLOTS_MAX];
    for again in 0..4 {
        flash.power_on();
        let mut vault = start(flash).unwrap_or_else(|_| panic!("{at}: start {again}"));
        if found.1 == PIN_TRIES - 1 && vault.life() == Life::Returned {
            found = (stable(&vault), 0);
            given = [None; SLOTS_MAX];
        }
        assert_eq!(stable(&vault), found.0, "{at}: start {again}");
        for (slot, given) in given.iter_mut().enumerate() {
            if vault.slots()[slot] == SlotState::Hotp {
                let counter = vault.burn(flash, slot).unwrap();
                assert!(given.is_none_or(|last| counter > last), "{at}: start {again}: {counter} again");
                *given = Some(counter);
            }
        }
        no_remnant(flash, &vault, &course.ever, at);
    }
}

#[test]
fn a_cut_at_every_operation_leaves_before_or_after() {
    let course = course();
    let total = *course.ends.last().unwrap();
    let mut cuts = 0;
    for operation in 1..=total {
        for tear in TEARS {
            let mut flash = Flash::blank(PAGES);
            flash.cut_at(operation, tear, operation);
            let done = run_to_cut(&course, &mut flash);
            flash.power_on();
            check(&course, &mut flash, done, &format!("cut {operation} {tear:?}"));
            live_on(&course, &mut flash, &format!("cut {operation} {tear:?}"));
            cuts += 1;
        }
    }
    std::eprintln!("{total} operations, {cuts} cuts");
}

#[test]
fn a_second_cut_while_starting_changes_nothing() {
    let course = course();
    let total = *course.ends.last().unwrap();
    let mut cuts = 0;
    for operation in (1..=total).filter(|operation| operation % 3 != 0 || *operation < 400) {
        let mut first = Flash::blank(PAGES);
        first.cut_at(operation, Tear::Some, operation * 3);
        let done = run_to_cut(&course, &mut first);
        for second in 1.. {
            let mut flash = first.clone();
            flash.power_on();
            flash.cut_at(flash.operations + second, TEARS[(operation + second) as usize % 3], second);
            if start(&mut flash).is_ok() {
                break;
            }
            flash.power_on();
            check(&course, &mut flash, done, &format!("cuts {operation} and {second}"));
            live_on(&course, &mut flash, &format!("cuts {operation} and {second}"));
            cuts += 1;
        }
    }
    std::eprintln!("{cuts} pairs of cuts");
}

/// The control: a log as one would write it first, that erases its page and writes the latest value anew. The same
/// flash finds its fault.
#[test]
fn a_naive_log_forgets() {
    fn latest(flash: &mut Flash) -> Option<(u32, u32)> {
        let image = flash.image()[..PAGE].to_vec();
        image
            .chunks(4)
            .enumerate()
            .filter_map(|(at, word)| {
                let value = u32::from_be_bytes(word.try_into().unwrap());
                (value != u32::MAX).then_some((at as u32, value))
            })
            .next_back()
    }
    fn burn(flash: &mut Flash) -> Option<u32> {
        let (at, value) = latest(flash).map_or((0, 0), |(at, value)| (at + 1, value));
        let at = if at as usize * 4 == PAGE { flash.erase(0, PAGE as u32).ok().map(|()| 0)? } else { at };
        flash.write(at * 4, &(value + 1).to_be_bytes()).ok().map(|()| value)
    }
    let mut forgot = 0;
    for operation in 1..=300 {
        for tear in TEARS {
            let mut flash = Flash::blank(1);
            flash.cut_at(operation, tear, operation);
            let shown = core::iter::from_fn(|| burn(&mut flash)).last();
            flash.power_on();
            let next = latest(&mut flash).map_or(0, |(_, value)| value);
            forgot += u32::from(shown.is_some_and(|shown| next <= shown));
        }
    }
    assert!(forgot > 0, "the flash model finds nothing");
    std::eprintln!("the naive log gave a code twice after {forgot} of 900 cuts");
}

#[test]
fn codes_wear_the_flash_evenly() {
    let mut flash = Flash::blank(16);
    let mut vault = start(&mut flash).unwrap();
    for act in [Act::Personalise, Act::Certify, Act::Install { slot: 0, id: 1 }, Act::Commit] {
        act.run(&mut vault, &mut flash).unwrap();
    }
    let before = flash.erasures.clone();
    let codes = 100_000u32;
    (0..codes).for_each(|_| Act::Burn { slot: 0 }.run(&mut vault, &mut flash).unwrap());
    let worn: Vec<u32> = flash.erasures.iter().zip(&before).map(|(after, before)| after - before).collect();
    let (least, most) = (*worn.iter().min().unwrap(), *worn.iter().max().unwrap());
    assert!(most - least <= 1, "{worn:?}");
    assert!(most <= codes / 700, "{worn:?}");
    std::eprintln!("{codes} codes erase each of 16 pages {most} times");
}

#[test]
fn foreign_and_changed_flash_is_not_taken() {
    let mut flash = Flash::blank(PAGES);
    let mut vault = start(&mut flash).unwrap();
    for act in [Act::Personalise, Act::Certify, Act::Install { slot: 0, id: 1 }, Act::Commit] {
        act.run(&mut vault, &mut flash).unwrap();
    }
    let other = open(&mut flash.clone(), [1; 32], &fresh(1)).unwrap();
    assert_eq!(other.life(), Life::Factory);
    let (at, _) = flash.image().iter().enumerate().find(|&(_, &byte)| byte != 0xff).unwrap();
    for offset in [0, 7, 40, 200] {
        let mut changed = flash.clone();
        changed.flip(at + offset);
        assert_eq!(start(&mut changed).unwrap().life(), Life::Factory, "{offset}");
    }
}

#[test]
fn a_locked_vault_gives_nothing() {
    let mut flash = Flash::blank(PAGES);
    let mut vault = start(&mut flash).unwrap();
    for act in
        [Act::Personalise, Act::Certify, Act::Install { slot: 0, id: 1 }, Act::Commit, Act::SetPin(b"1234")]
    {
        act.run(&mut vault, &mut flash).unwrap();
    }
    assert_eq!(vault.secret(0).unwrap().expose(), &secret(1)[..20]);
    let mut vault = start(&mut flash).unwrap();
    assert!(vault.secret(0).is_none() && !vault.is_unlocked());
    let refused = Act::Install { slot: 1, id: 2 }.run(&mut vault, &mut flash);
    assert_eq!(refused, Err(Refusal::Pin));
    assert_eq!(vault.set_pin(&mut flash, b"", [0; 16]), Err(Refusal::Pin));
    for (failures, pin) in [(1, b"0000"), (2, b"1235")] {
        assert_eq!(vault.try_pin(&mut flash, pin, &fresh(3)), Ok(PinVerdict::Wrong));
        assert_eq!(start(&mut flash).unwrap().pin_failures(), failures);
    }
    assert_eq!(vault.try_pin(&mut flash, b"1234", &fresh(3)), Ok(PinVerdict::Right));
    assert_eq!((vault.pin_failures(), start(&mut flash).unwrap().pin_failures()), (0, 0));
    assert_eq!(vault.secret(0).unwrap().expose(), &secret(1)[..20]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Codes, re-provisionings and cuts in any order: no counter of a secret is ever given twice.
    #[test]
    fn a_counter_is_given_once(
        turns in proptest::collection::vec((0u8..40, 0usize..2, 1u64..80, 0usize..3, any::<u64>()), 1..400)
    ) {
        let mut flash = Flash::blank(PAGES);
        let mut vault = start(&mut flash).unwrap();
        for act in [Act::Personalise, Act::Certify] {
            act.run(&mut vault, &mut flash).unwrap();
        }
        let mut id = 0;
        let mut given = [None::<u64>; 2];
        for (what, slot, operation, tear, seed) in turns {
            if what == 0 {
                flash.cut_at(flash.operations + operation, TEARS[tear], seed);
            }
            let done = match what {
                1 if vault.pending().is_none() => {
                    id = (id + 1) % 200;
                    Act::Install { slot: slot as u8, id }.run(&mut vault, &mut flash).is_ok()
                }
                2 if vault.pending().is_some() => {
                    let slot = usize::from(vault.pending().unwrap().slot);
                    // Whether it was committed or not, the counters that follow are its own.
                    given[slot] = None;
                    Act::Commit.run(&mut vault, &mut flash).is_ok()
                }
                3 => Act::Abort.run(&mut vault, &mut flash).is_ok(),
                4 => { vault = start(&mut flash).map_err(|_| ()).unwrap_or(vault); true }
                _ if vault.slots()[slot] == SlotState::Empty => true,
                _ => match vault.burn(&mut flash, slot) {
                    Ok(counter) => {
                        prop_assert!(given[slot].is_none_or(|last| counter > last), "{counter} {given:?}");
                        given[slot] = Some(counter);
                        true
                    }
                    Err(_) => false,
                },
            };
            if !done && flash.is_dead() {
                flash.power_on();
                vault = start(&mut flash).unwrap();
            }
        }
    }
}
