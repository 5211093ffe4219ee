//! One line of the CRI log format: `TIME STREAM TAG TEXT`, with tag `P` for a line that goes on.

use keel_engine::frames::Frame;

/// A line, or a piece of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    time: String,
    error: bool,
    /// The line is over with this piece.
    pub(super) ends: bool,
    /// This is the line's first piece.
    begins: bool,
    text: Vec<u8>,
}

impl Line {
    /// Reads one; `None` for what is none. `open` says that the piece before did not end its line.
    pub(super) fn parse(bytes: &[u8], open: bool) -> Option<Self> {
        let mut parts = bytes.splitn(4, |byte| *byte == b' ');
        let time = String::from_utf8(parts.next()?.to_vec()).ok()?;
        let (stream, tag) = (parts.next()?, parts.next()?);
        let text = parts.next().unwrap_or_default().to_vec();
        let (error, ends) = (stream == b"stderr", tag != b"P");
        Some(Self { time, error, ends, begins: !open, text })
    }

    pub(super) fn is_between(&self, since: Option<u64>, until: Option<u64>) -> bool {
        let at = millis(&self.time);
        let late_enough = since.is_none_or(|since| at.is_some_and(|at| at >= since));
        late_enough && until.is_none_or(|until| at.is_some_and(|at| at <= until))
    }

    pub(super) fn frame(self, timestamps: bool) -> Frame {
        let mut text = Vec::new();
        if timestamps && self.begins {
            text.extend_from_slice(self.time.as_bytes());
            text.push(b' ');
        }
        text.extend_from_slice(&self.text);
        if self.ends {
            text.push(b'\n');
        }
        if self.error { Frame::Stderr(text) } else { Frame::Stdout(text) }
    }
}

/// Milliseconds since the epoch of `YYYY-MM-DDTHH:MM:SS[.FRACTION]Z`.
fn millis(time: &str) -> Option<u64> {
    let number = |range: std::ops::Range<usize>| time.get(range)?.parse::<u64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let fraction = number(20..23).unwrap_or(0);
    let seconds = (hour * 60 + minute) * 60 + second;
    Some((days(year, month, day)? * 86_400 + seconds) * 1_000 + fraction)
}

/// Days since 1970-01-01, in the Gregorian calendar, from March to February.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year / 4 - year / 100 + year / 400;
    (year * 365 + leap_days + (month * 153 + 2) / 5 + day).checked_sub(719_469)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        let cases = [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-02-29T12:00:00.5Z", Some(951_825_600_000)),
            ("2026-11-25T08:15:30.123456789Z", Some(1_795_594_530_123)),
            ("yesterday", None),
        ];
        for (text, expected) in cases {
            assert_eq!(millis(text), expected, "{text}");
        }
    }

    #[test]
    fn a_line_in_pieces_has_one_time_and_one_end() {
        let piece = |text: &[u8], open| Line::parse(text, open).unwrap().frame(true);
        let first = piece(b"2026-01-02T03:04:05Z stderr P two ", false);
        assert_eq!(first, Frame::Stderr(b"2026-01-02T03:04:05Z two ".to_vec()));
        let second = piece(b"2026-01-02T03:04:06Z stderr F words", true);
        assert_eq!(second, Frame::Stderr(b"words\n".to_vec()));
    }
}
