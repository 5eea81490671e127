//! The power goes three times: in an act, then while the start after it mends what was torn, or in what follows,
//! and then again. Too many to try them all: a sample that is the same in every run.

use std::collections::BTreeMap;

use super::*;

const SAMPLES: u64 = 12_000;

/// A cut comes within so many operations of a start: mending takes one less at most.
const SOON: u64 = 7;

/// Most first cuts come in the last operations of an act: tag, mark and erasure. Those before only write a body.
const LATE: u64 = 9;

/// By its sealed secret, where a slot's counter was when its last code was given. A torn record may count at one start
/// and not at the next, but no code was given for it.
type Floors = BTreeMap<Vec<u8>, u64>;

/// The course at the end of each act, so that a sample need not begin with the first.
struct Place {
    flash: Flash,
    stable: String,
    floors: Floors,
}

fn places(course: &Course) -> Vec<Place> {
    let mut flash = Flash::blank(PAGES);
    let mut vault = start(&mut flash).unwrap();
    let mut places = Vec::new();
    for at in 0..=course.acts.len() {
        let counters = vault.state.slots.iter().flatten();
        let floors = counters.map(|slot| (slot.secret.to_vec(), slot.next)).collect();
        places.push(Place { flash: flash.clone(), stable: stable(&vault), floors });
        if let Some(act) = course.acts.get(at) {
            act.run(&mut vault, &mut flash).unwrap();
        }
    }
    places
}

/// A run in which the power goes again and again.
struct Run<'a> {
    course: &'a Course,
    places: &'a [Place],
    flash: Flash,
    floors: Floors,
    done: usize,
}

impl Run<'_> {
    /// Starts and goes on with the course, until it ends or the power goes.
    fn go_on(&mut self) {
        let Ok(mut vault) = start(&mut self.flash) else { return };
        self.done += usize::from(stable(&vault) != self.places[self.done].stable);
        while let Some(act) = self.course.acts.get(self.done) {
            if act.run(&mut vault, &mut self.flash).is_err() {
                return;
            }
            self.done += 1;
            if let (Act::Burn { slot }, slots) = (act, &vault.state.slots) {
                let slot = slots[*slot].as_ref().unwrap();
                self.floors.insert(slot.secret.to_vec(), slot.next);
            }
        }
    }

    /// Whether a start finds what was there, or what was asked for; `false` if it finds secrets erased by PINs that
    /// were tried, which is right but no place in the course.
    fn check(&self, at: &str) -> bool {
        // On a copy: what this start mends is not mended for the next cut.
        let mut flash = self.flash.clone();
        let vault = start(&mut flash).unwrap_or_else(|_| panic!("{at}: does not start"));
        no_remnant(&flash, &vault, &self.course.ever, at);
        for slot in vault.state.slots.iter().flatten() {
            let floor = self.floors.get(&slot.secret.to_vec()).copied().unwrap_or(0);
            assert!(slot.next >= floor, "{at}: counter {} after {floor}", slot.next);
        }
        let found = stable(&vault);
        let near = &self.places[self.done..self.places.len().min(self.done + 2)];
        let is_here = near.iter().any(|place| place.stable == found);
        let tried = matches!(self.course.acts.get(self.done), Some(Act::TryPin(_)));
        assert!(is_here || tried && vault.life() == Life::Returned, "{at}: {found}");
        is_here
    }
}

#[test]
fn a_third_cut_in_a_row_changes_nothing() {
    let course = course();
    let places = places(&course);
    // An act that appends a record is one operation; what can go wrong is mostly in the others.
    let lengths = course.ends.windows(2).map(|ends| ends[1] - ends[0]);
    let acts: Vec<_> = lengths.enumerate().filter(|&(at, length)| length > 1 || at % 50 == 0).collect();
    let mut noise = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = move |below: u64| {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        (noise >> 11) % below
    };
    let (mut cuts, mut triples) = (0, 0);
    for sample in 0..SAMPLES {
        let (done, length) = acts[random(acts.len() as u64) as usize];
        let Place { flash, floors, .. } = &places[done];
        let (flash, floors) = (flash.clone(), floors.clone());
        let mut run = Run { course: &course, places: &places, flash, floors, done };
        let mut at = format!("sample {sample}: act {done}");
        let mut count = 0;
        let late = if random(8) == 0 { length } else { length.min(LATE) };
        for first in [length - late, 0, 0] {
            let within = if count == 0 { late } else { SOON };
            let (operation, tear) = (first + 1 + random(within), TEARS[random(5).min(2) as usize]);
            run.flash.cut_at(run.flash.operations + operation, tear, random(1 << 32));
            at += &format!(", cut {operation} {tear:?}");
            run.go_on();
            let is_cut = run.flash.is_dead();
            count += u32::from(is_cut);
            run.flash.power_on();
            if !run.check(&at) || !is_cut {
                break;
            }
        }
        live_on(&course, &mut run.flash, &at);
        cuts += count;
        triples += u32::from(count == 3);
    }
    assert!(u64::from(triples) > SAMPLES / 2, "{triples} triples");
    std::eprintln!("{cuts} cuts, {triples} times three in a row");
}
