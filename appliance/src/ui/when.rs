//! Days and times of day as pages show them: in the appliance's own time zone, which they name.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::clock::rfc3339;

/// Characters of a date in RFC 3339.
const DATE_LEN: usize = 10;

/// Day, time and zone of a moment in Unix milliseconds.
pub(super) fn shown(unix_ms: i64) -> String {
    match Timestamp::from_millisecond(unix_ms) {
        Ok(at) => at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M %Z").to_string(),
        Err(_) => rfc3339(unix_ms),
    }
}

/// The last day before a moment at the end of a day in UTC.
pub(super) fn last_day(end_ms: i64) -> String {
    let day: String = rfc3339(end_ms.saturating_sub(1)).chars().take(DATE_LEN).collect();
    format!("{day} UTC")
}

/// Unix milliseconds of a day and a time of day, as a browser's fields give them; none for what is neither.
pub(super) fn read(day: &str, time: &str) -> Option<i64> {
    let at: DateTime = format!("{day}T{time}").parse().ok()?;
    Some(at.to_zoned(TimeZone::system()).ok()?.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_shown() {
        let at = read("2031-03-01", "09:30").unwrap();
        assert!(shown(at).starts_with("2031-03-01 09:30 "), "{}", shown(at));
        for (day, time) in [("", "09:00"), ("2031-03-01", ""), ("2031-02-30", "09:00"), ("today", "9")] {
            assert_eq!(read(day, time), None, "{day} {time}");
        }
        assert_eq!(last_day(86_400_000), "1970-01-01 UTC");
    }
}
