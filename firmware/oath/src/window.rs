//! Which moving factors a verifier may try: the look-ahead window of RFC 4226 section 7.2 and 7.4, and the
//! time window of RFC 6238 section 5.2 and 6.
//!
//! Both iterators only ever offer factors later than the last accepted one, so a code cannot be accepted
//! twice as long as the caller stores what it accepted.

/// The largest look-ahead that a token's policy may ask for, in counter values.
pub const LOOK_AHEAD_MAX: u16 = 100;

/// The largest time window that a token's policy may ask for, in steps on either side.
pub const TOTP_WINDOW_MAX: u16 = 10;

/// The widest search of all, used when two consecutive codes resynchronise a token: counter values, or
/// steps on either side. Wider requests are cut down to it.
pub const RESYNC_MAX: u16 = 100;

/// The counter values that a HOTP code may stand for, nearest first: `next`, `next + 1`, ...
///
/// `next` is the last accepted counter plus one, or a new token's first counter. `look_ahead` is the
/// parameter s of RFC 4226 section 7.4, the number of values tried: a counter c qualifies iff
/// last < c <= last + s. So 0 accepts nothing, 1 accepts `next` only, and a token whose first code may be
/// its second counter needs 2. At most [`RESYNC_MAX`] values; the sequence ends at `u64::MAX`.
pub fn hotp_candidates(next: u64, look_ahead: u16) -> impl Iterator<Item = u64> {
    (0..look_ahead.min(RESYNC_MAX)).map_while(move |ahead| next.checked_add(u64::from(ahead)))
}

/// The time steps that a TOTP code may stand for, nearest first.
///
/// The centre is `now_step + drift`, where `drift` in steps is what the token's clock was last seen ahead of
/// ours. After it come the steps at distance 1 to `window` on either side, the earlier of the two first:
/// transmission delay (RFC 6238 section 5.2) makes it the likelier one. Steps that are not later than `last`,
/// the last accepted one, are left out wherever they stand. At most 2 x [`RESYNC_MAX`] + 1 steps.
pub fn totp_candidates(
    now_step: u64,
    drift: i32,
    window: u16,
    last: Option<u64>,
) -> impl Iterator<Item = u64> {
    let outward = (1..=i64::from(window.min(RESYNC_MAX))).flat_map(|distance| [-distance, distance]);
    core::iter::once(0)
        .chain(outward)
        .filter_map(move |offset| now_step.checked_add_signed(i64::from(drift) + offset))
        .filter(move |&step| last.is_none_or(|last| step > last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;
    use std::vec::Vec;

    #[test]
    fn look_ahead_counts_values() {
        for (next, look_ahead, expected) in [
            (7, 0, &[][..]),
            (7, 1, &[7]),
            (7, 3, &[7, 8, 9]),
            (u64::MAX, 3, &[u64::MAX]),
            (u64::MAX - 1, 9, &[u64::MAX - 1, u64::MAX]),
        ] {
            assert_eq!(
                hotp_candidates(next, look_ahead).collect::<Vec<_>>(),
                expected,
                "{next} {look_ahead}"
            );
        }
        assert_eq!(hotp_candidates(0, u16::MAX).count(), usize::from(RESYNC_MAX));
    }

    #[test]
    fn time_window_goes_outward_from_the_drifted_centre() {
        for (now, drift, window, last, expected) in [
            (50, 0, 0, None, &[50][..]),
            (50, 0, 2, None, &[50, 49, 51, 48, 52]),
            (50, 3, 1, None, &[53, 52, 54]),
            (50, -3, 1, None, &[47, 46, 48]),
            (50, 0, 1, Some(49), &[50, 51]),
            (50, 0, 1, Some(50), &[51]),
            (50, 0, 1, Some(51), &[]),
            (0, 0, 1, None, &[0, 1]),
            (0, -1, 1, None, &[0]),
            (u64::MAX, 0, 1, None, &[u64::MAX, u64::MAX - 1]),
        ] {
            let steps = totp_candidates(now, drift, window, last).collect::<Vec<_>>();
            assert_eq!(steps, expected, "{now} {drift} {window} {last:?}");
        }
        assert_eq!(totp_candidates(1_000, 0, u16::MAX, None).count(), 2 * usize::from(RESYNC_MAX) + 1);
    }

    proptest! {
        #[test]
        fn hotp_accepts_iff_last_lt_c_le_last_plus_s(
            last in 0u64..1 << 40, s in 0u16..=RESYNC_MAX, c in -300i64..300
        ) {
            let c = last.saturating_add_signed(c);
            let offered = hotp_candidates(last + 1, s).any(|candidate| candidate == c);
            prop_assert_eq!(offered, last < c && c <= last + u64::from(s));
        }

        #[test]
        fn totp_accepts_iff_in_the_window_and_later_than_last(
            now in 0u64..2_000, drift in -50i32..50, window in 0u16..=RESYNC_MAX,
            last in proptest::option::of(0u64..2_000), step in 0u64..2_000
        ) {
            let offered = totp_candidates(now, drift, window, last).any(|candidate| candidate == step);
            let distance = (i128::from(now) + i128::from(drift) - i128::from(step)).unsigned_abs();
            prop_assert_eq!(offered, distance <= u128::from(window) && last.is_none_or(|last| step > last));
        }

        #[test]
        fn totp_offers_each_step_once_and_nearest_first(
            now: u64, drift: i32, window: u16, last: Option<u64>
        ) {
            let steps = totp_candidates(now, drift, window, last).collect::<Vec<_>>();
            let centre = i128::from(now) + i128::from(drift);
            prop_assert!(steps.is_sorted_by_key(|&step| (i128::from(step) - centre).unsigned_abs()));
            prop_assert_eq!(steps.iter().collect::<HashSet<_>>().len(), steps.len());
        }

        #[test]
        fn an_accepted_factor_is_never_offered_again(next: u64, s: u16, window: u16, pick: prop::sample::Index) {
            let counters = hotp_candidates(next, s).collect::<Vec<_>>();
            if !counters.is_empty() && let Some(after) = pick.get(&counters).checked_add(1) {
                prop_assert!(hotp_candidates(after, s).all(|c| c >= after));
            }
            let steps = totp_candidates(next, 0, window, None).collect::<Vec<_>>();
            let accepted = *pick.get(&steps);
            prop_assert!(totp_candidates(next, 0, window, Some(accepted)).all(|step| step > accepted));
        }
    }
}
