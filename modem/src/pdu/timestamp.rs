//! Times on the wire: timestamps and the relative validity period.
//!
//! 3GPP TS 23.040 9.2.3.11 (TP-SCTS), 9.2.3.12 (TP-VP), 9.2.3.13 (TP-DT).

use std::time::Duration;

/// A service centre timestamp as it stands on the wire; any octets are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timestamp(pub [u8; 7]);

/// Years on the wire have two digits; GSM began sending SMS in the 1990s.
const CENTURY_SPLIT: u8 = 90;

impl Timestamp {
    /// RFC 3339 with the sender's offset; `None` where the octets are no date.
    pub fn rfc3339(&self) -> Option<String> {
        let [year, month, day, hour, minute, second] = first_six(&self.0).map(swapped_decimal);
        let (year, month, day) = (year?, month?, day?);
        let (hour, minute, second) = (hour?, minute?, second?);
        let century = if year >= CENTURY_SPLIT { 1900 } else { 2000 };
        let year = century + u16::from(year);
        if !(1..=days_in(year, month)).contains(&day) || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let zone = self.0[6];
        let quarters = swapped_decimal(zone & !0x08)?;
        let sign = if zone & 0x08 == 0 { '+' } else { '-' };
        let (zone_hours, zone_minutes) = (quarters / 4, quarters % 4 * 15);
        Some(format!(
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{sign}{zone_hours:02}:{zone_minutes:02}"
        ))
    }

    /// From RFC 3339 text in UTC (`2026-01-02T03:04:05Z`, a fraction is ignored); `None` for other shapes.
    pub fn from_utc(text: &str) -> Option<Self> {
        let at = |range: std::ops::Range<usize>| text.get(range)?.parse::<u8>().ok();
        let parts = [at(2..4)?, at(5..7)?, at(8..10)?, at(11..13)?, at(14..16)?, at(17..19)?];
        let mut octets = [0; 7];
        for (octet, part) in octets.iter_mut().zip(parts) {
            *octet = ((part % 10) << 4) | (part / 10);
        }
        text.ends_with('Z').then_some(Self(octets))
    }
}

fn first_six(octets: &[u8; 7]) -> [u8; 6] {
    let [a, b, c, d, e, f, _] = *octets;
    [a, b, c, d, e, f]
}

fn swapped_decimal(octet: u8) -> Option<u8> {
    let (tens, units) = (octet & 0x0f, octet >> 4);
    (tens < 10 && units < 10).then_some(tens * 10 + units)
}

fn days_in(year: u16, month: u8) -> u8 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => 0,
    }
}

/// TP-VP, by the format that TP-VPF announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// No TP-VP: the service centre decides.
    Unset,
    /// 9.2.3.12.1.
    Relative(u8),
    /// 9.2.3.12.2: until that moment.
    Absolute(Timestamp),
    /// 9.2.3.12.3, kept as octets.
    Enhanced([u8; 7]),
}

impl Validity {
    /// The longest relative period that does not exceed `wanted`, but at least the shortest there is, 5 min.
    pub fn at_most(wanted: Duration) -> Self {
        let fits = (0..=u8::MAX).rev().find(|&octet| relative_period(octet) <= wanted);
        Self::Relative(fits.unwrap_or(0))
    }
}

/// TS 23.040 9.2.3.12.1: steps of 5 minutes, half hours, days, weeks.
pub fn relative_period(octet: u8) -> Duration {
    let value = u64::from(octet);
    let minutes = match octet {
        0..=143 => (value + 1) * 5,
        144..=167 => 12 * 60 + (value - 143) * 30,
        168..=196 => (value - 166) * 24 * 60,
        197..=255 => (value - 192) * 7 * 24 * 60,
    };
    Duration::from_secs(minutes * 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn period_edges() {
        for (minutes, octet) in
            [(1, 0), (5, 0), (9, 0), (10, 1), (60, 11), (719, 142), (720, 143), (1440, 167), (2880, 168)]
        {
            assert_eq!(Validity::at_most(Duration::from_secs(minutes * 60)), Validity::Relative(octet));
        }
        assert_eq!(Validity::at_most(Duration::MAX), Validity::Relative(255));
        assert_eq!(relative_period(255), Duration::from_secs(63 * 7 * 24 * 3600));
    }

    #[test]
    fn negative_zone_and_nonsense() {
        let west = Timestamp([0x21, 0x40, 0x52, 0x91, 0x65, 0x05, 0x69]);
        assert_eq!(west.rfc3339().as_deref(), Some("2012-04-25T19:56:50-04:00"));
        assert_eq!(Timestamp([0; 7]).rfc3339(), None);
        let utc = Timestamp::from_utc("2026-11-21T20:30:59.123Z").expect("RFC 3339");
        assert_eq!(utc.rfc3339().as_deref(), Some("2026-11-21T20:30:59+00:00"));
    }
}
