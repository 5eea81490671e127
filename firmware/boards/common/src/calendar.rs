//! The calendar of an RTC that counts in binary-coded decimal (STM32 RTC version 3: RTC_TR and RTC_DR), as seconds.

/// The count begins with this date, 2001-01-01, in RTC_DR. Not 2000: with year 0 the RTC counts as never set.
pub const BEGIN: u32 = DR_MONDAY | 1 << 16 | 1 << 8 | 1;
const DR_MONDAY: u32 = 1 << 13;

const DAYS_BEFORE: [u32; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];

/// Seconds from [`BEGIN`] to the time `tr` of the date `dr`; `None` when they are no time and date from then on.
pub fn seconds(tr: u32, dr: u32) -> Option<u32> {
    let (hour, minute, second) = (bcd(tr >> 16, 0x3f)?, bcd(tr >> 8, 0x7f)?, bcd(tr, 0x7f)?);
    let (year, month, day) = (bcd(dr >> 16, 0xff)?, bcd(dr >> 8, 0x1f)?, bcd(dr, 0x3f)?);
    let before = *DAYS_BEFORE.get(month.checked_sub(1)? as usize)?;
    let valid = hour < 24 && minute < 60 && second < 60 && year > 0 && (1..=31).contains(&day);
    let leap = u32::from(year % 4 == 0 && month > 2);
    let days = (year.checked_sub(1)?) * 365 + (year - 1) / 4 + before + leap + day.checked_sub(1)?;
    valid.then_some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

/// Two decimal digits of four bits each.
fn bcd(register: u32, mask: u32) -> Option<u32> {
    let (tens, ones) = ((register & mask) >> 4, register & 0xf);
    (tens < 10 && ones < 10).then_some(tens * 10 + ones)
}
