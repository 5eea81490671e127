//! The parts of boards that need no board.

use common::{calendar, read_out, ring::Ring, version_part};
use proptest::prelude::*;

/// RM0456, FLASH_OPTR: RDP is 0xAA for level 0, 0x55 for 0.5, 0xCC for 2, anything else is level 1. Red when
/// another level counts as closed, or level 2 that a key opens again.
#[test]
fn only_level_2_without_a_way_back_is_closed() {
    const TZEN_AND_OTHERS: u32 = 0x1fef_f800;
    const OEM1LOCK: u32 = 1 << 18;
    const OEM2LOCK: u32 = 1 << 19;
    for rdp in 0..=0xff {
        let closed = read_out::is_closed(TZEN_AND_OTHERS | rdp, OEM1LOCK);
        assert_eq!(closed, rdp == 0xcc, "RDP {rdp:#x}");
        assert!(!read_out::is_closed(rdp, OEM2LOCK), "RDP {rdp:#x} with an OEM2 key");
    }
}

#[test]
fn a_version_is_read_as_a_number() {
    assert_eq!(["0", "7", "42", "255"].map(version_part), [0, 7, 42, 255]);
}

fn bcd(value: u32) -> u32 {
    ((value / 10) << 4) | (value % 10)
}

/// Every second hour of the calendar's 99 years, counted beside it.
#[test]
fn the_calendar_counts_without_a_gap() {
    let mut days = 0;
    for year in 1..100 {
        for month in 1..=12 {
            let len = match month {
                2 if year % 4 == 0 => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            for day in 1..=len {
                let dr = bcd(year) << 16 | bcd(month) << 8 | bcd(day);
                for hour in (0..24).step_by(2) {
                    let tr = bcd(hour) << 16 | bcd(59) << 8 | bcd(58);
                    let expected = days * 86_400 + hour * 3_600 + 59 * 60 + 58;
                    assert_eq!(calendar::seconds(tr, dr), Some(expected), "{dr:#x} {tr:#x}");
                }
                days += 1;
            }
        }
    }
    assert_eq!(calendar::seconds(0, calendar::BEGIN), Some(0));
}

/// A part without its clock reads all zeros; one with a broken bus all ones.
#[test]
fn what_is_no_date_is_no_count() {
    for (tr, dr) in [(0, 0), (u32::MAX, u32::MAX), (0, 0x0001_0001), (0, 0x0001_0100), (0, 0x0001_1301)] {
        assert_eq!(calendar::seconds(tr, dr), None, "{tr:#x} {dr:#x}");
    }
    for tr in [0x0024_0000, 0x0000_6000, 0x0000_0060, 0x0000_000a] {
        assert_eq!(calendar::seconds(tr, calendar::BEGIN), None, "{tr:#x}");
    }
}

proptest! {
    /// Bytes come out as they went in; those that find no room are the newest.
    #[test]
    fn a_ring_keeps_the_oldest_bytes(steps in prop::collection::vec((any::<bool>(), any::<u8>()), 0..200)) {
        let ring = Ring::<8>::new();
        let mut model = std::collections::VecDeque::new();
        for (put, byte) in steps {
            if put {
                ring.put(byte);
                if model.len() < 7 {
                    model.push_back(byte);
                }
            } else {
                prop_assert_eq!(ring.take(), model.pop_front());
            }
        }
    }
}
