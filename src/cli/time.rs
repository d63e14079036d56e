//! Moments as people write and read them.

use crate::clock;

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// How a moment may be written, for help texts.
pub(super) const MOMENT_HELP: &str =
    "a moment: 2026-01-31T12:00:00Z (also with +02:00, or only the date), milliseconds since 1970, or 90m, 2h, 7d ago";

/// Reads a moment in milliseconds since the Unix epoch; see [`MOMENT_HELP`]. Without a zone it is UTC.
pub(super) fn moment(text: &str) -> Result<i64, String> {
    let text = text.trim();
    let read = milliseconds(text).or_else(|| ago(text)).or_else(|| date_time(text));
    read.ok_or_else(|| format!("write {MOMENT_HELP}"))
}

/// Reads a length of time such as `90s`, `15m`, `2h` or `7d`, in milliseconds.
pub(super) fn duration(text: &str) -> Option<i64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit = match unit {
        "s" => SECOND,
        "m" => MINUTE,
        "h" => HOUR,
        "d" => DAY,
        _ => return None,
    };
    number.parse::<u32>().ok().and_then(|number| i64::from(number).checked_mul(unit))
}

/// A moment as `2026-01-31T12:00:00.000Z`.
pub(super) fn iso(milliseconds: i64) -> String {
    let (days, rest) = (milliseconds.div_euclid(DAY), milliseconds.rem_euclid(DAY));
    let (year, month, day) = civil(days);
    let (hour, minute) = (rest / HOUR, rest % HOUR / MINUTE);
    let (second, fraction) = (rest % MINUTE / SECOND, rest % SECOND);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:03}Z")
}

/// Only digits, and too many for a year.
fn milliseconds(text: &str) -> Option<i64> {
    (text.len() > 4 && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

fn ago(text: &str) -> Option<i64> {
    let text = text.strip_suffix("ago").map_or(text, str::trim_end);
    duration(text).map(|length| clock::wall().0 - length)
}

fn date_time(text: &str) -> Option<i64> {
    let (date, time) = text.split_once(['T', ' ']).unwrap_or((text, "00:00"));
    let [year, month, day] = numbers(date, '-')?;
    let (clock, offset) = zone(time)?;
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let [hour, minute, second] = numbers(clock, ':').or_else(|| numbers(clock, ':').map(|[h, m]| [h, m, 0]))?;
    let digits: String = fraction.chars().chain("000".chars()).take(3).collect();
    let valid = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 61;
    let days = days_from_civil(year, month, day);
    // A day that its month does not have would come back as another one.
    let real = civil(days) == (year, month, day);
    let moment = days * DAY + hour * HOUR + minute * MINUTE + second * SECOND + digits.parse::<i64>().ok()? - offset;
    (valid && real).then_some(moment)
}

/// Splits `Z`, `+02:00` or nothing off a time of day: the rest, and the zone's distance from UTC in milliseconds.
fn zone(time: &str) -> Option<(&str, i64)> {
    if let Some(clock) = time.strip_suffix(['Z', 'z']) {
        return Some((clock, 0));
    }
    let Some(at) = time.find(['+', '-']) else { return Some((time, 0)) };
    let (clock, zone) = time.split_at(at);
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let [hours, minutes] = numbers(&zone[1..], ':')?;
    Some((clock, sign * (hours * HOUR + minutes * MINUTE)))
}

fn numbers<const N: usize>(text: &str, separator: char) -> Option<[i64; N]> {
    let digits = |part: &str| (!part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())).then_some(());
    let parts: Vec<i64> = text
        .split(separator)
        .map(|part| digits(part).and_then(|()| part.parse::<u32>().ok()).map(i64::from))
        .collect::<Option<_>>()?;
    parts.try_into().ok()
}

/// Days since 1970-01-01 of a date of the Gregorian calendar. Years begin in March here, so that a leap day ends one.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The date of a day counted from 1970-01-01.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let years = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * years + years / 4 - years / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + years + i64::from(month <= 2), month, of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_and_written() {
        assert_eq!(moment("1970-01-01T00:00:00Z"), Ok(0));
        assert_eq!(moment("2026-11-21T12:30:05.25+02:00").map(iso).as_deref(), Ok("2026-11-21T10:30:05.250Z"));
        assert_eq!(moment("2024-02-29").map(iso).as_deref(), Ok("2024-02-29T00:00:00.000Z"));
        assert_eq!(moment("1700000000000"), Ok(1_700_000_000_000));
        assert_eq!(iso(-1), "1969-12-31T23:59:59.999Z");
        let hour_ago = clock::wall().0 - moment("1h").unwrap();
        assert!((HOUR - 1000..=HOUR + 60_000).contains(&hour_ago), "{hour_ago}");
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for bad in ["", "yesterday", "2026-13-01", "2026-02-30", "2026-11-21T25:00", "12", "5x", "-5m", "2026-11-21T1"]
        {
            assert!(moment(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_day_is_its_own_date() {
        for days in (-800_000..800_000).step_by(97) {
            let (year, month, day) = civil(days);
            assert_eq!(days_from_civil(year, month, day), days);
        }
    }
}
