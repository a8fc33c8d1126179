//! Calendar dates of wall-clock times, in UTC.

use shards::Wall;
use std::fmt;

/// A day of the Gregorian calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    /// Year.
    pub year: i64,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
}

/// The UTC day of a time.
#[must_use]
pub fn date(wall: Wall) -> Date {
    // Days to civil: years begin in March here, so that the leap day is a year's last; eras of
    // 400 years have 146,097 days.
    let days = i64::try_from(wall.seconds() / 86_400).unwrap_or(0) + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    Date {
        year,
        month: u8::try_from(month).unwrap_or(1),
        day: u8::try_from(day).unwrap_or(1),
    }
}

/// RFC 3339 with milliseconds, for example `2026-11-23T04:44:50.123Z`.
#[must_use]
pub fn rfc3339(wall: Wall) -> String {
    let second = wall.seconds() % 86_400;
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{}T{hour:02}:{minute:02}:{second:02}.{:03}Z", date(wall), wall.0 % 1000)
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_days() {
        // `date -u -d @N +%F`
        for (seconds, day) in [
            (0, "1970-01-01"),
            (86_399, "1970-01-01"),
            (86_400, "1970-01-02"),
            (951_782_400, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (1_709_164_800, "2024-02-29"),
            (1_735_689_599, "2024-12-31"),
            (1_735_689_600, "2025-01-01"),
            (4_107_542_399, "2100-02-28"),
            (4_107_542_400, "2100-03-01"),
        ] {
            assert_eq!(date(Wall(seconds * 1000)).to_string(), day, "{seconds}");
        }
    }

    #[test]
    fn a_time_in_full() {
        assert_eq!(rfc3339(Wall(1_735_689_599_042)), "2024-12-31T23:59:59.042Z");
    }

    #[test]
    fn the_end_of_time_is_survived() {
        assert!(!date(Wall(u64::MAX)).to_string().is_empty());
    }
}
