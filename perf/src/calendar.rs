//! Dates for people, in UTC.

use ringfort::store::calendar;
use shards::Wall;

/// Date and time of day (UTC) of seconds since the Unix epoch.
#[must_use]
pub fn utc(seconds: u64) -> (String, String) {
    let date = calendar::date(Wall(seconds * 1000));
    let time = format!(
        "{:02}:{:02}:{:02}",
        seconds / 3600 % 24,
        seconds / 60 % 60,
        seconds % 60
    );
    (format!("{:04}-{:02}-{:02}", date.year, date.month, date.day), time)
}

#[cfg(test)]
mod tests {
    #[test]
    fn known_time() {
        assert_eq!(super::utc(1_795_654_274), ("2026-11-26".into(), "00:51:14".into()));
    }
}
