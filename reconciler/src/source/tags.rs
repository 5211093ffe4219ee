//! Which tag a range of versions means. Pure.
//!
//! The grammar is that of Flux and Helm: blanks and commas are "and", `||` is "or"; `1.2` is any
//! `1.2.x`; `~` leaves the patch open, `^` all below the first number that counts; `1.2 - 1.4` takes
//! both ends in; a leading `v` means nothing. Pre-releases count only where the range names one.

use std::cmp::Ordering;

/// What of a version is written: `1`, `1.2`, `1.2.3`, `1.2.3-rc.1`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Version {
    numbers: [u64; 3],
    /// How many of them were written.
    written: usize,
    pre: Vec<String>,
}

/// From `low` on, below `high`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Interval {
    low: Option<(Version, bool)>,
    high: Option<Version>,
    /// `!=`: everything but this.
    not: bool,
    /// It names a pre-release.
    pre: bool,
}

/// A range: any of these, each all of its intervals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Range(Vec<Vec<Interval>>);

impl Range {
    /// `None` where it is no range.
    pub fn parse(text: &str) -> Option<Self> {
        text.split("||").map(all_of).collect::<Option<_>>().map(Self)
    }

    /// The highest of these tags that is in the range. Those that are no versions are passed over.
    pub fn best<'a>(&self, tags: impl Iterator<Item = &'a str>) -> Option<&'a str> {
        let versions = tags.filter_map(|tag| Some((Version::parse(tag)?, tag)));
        let fitting = versions.filter(|(version, _)| version.written > 0 && self.holds(version));
        fitting
            .max_by(|one, other| one.0.order(&other.0).then(one.1.cmp(other.1)))
            .map(|(_, tag)| tag)
    }

    fn holds(&self, version: &Version) -> bool {
        self.0.iter().any(|all| {
            let named = version.pre.is_empty() || all.iter().any(|one| one.pre);
            named && all.iter().all(|one| one.holds(version))
        })
    }
}

/// Whether a text is a range of versions.
pub(crate) fn is_range(text: &str) -> bool {
    Range::parse(text).is_some()
}

fn all_of(text: &str) -> Option<Vec<Interval>> {
    if let Some((low, high)) = text.split_once(" - ") {
        return Some(vec![interval(">=", low.trim())?, interval("<=", high.trim())?]);
    }
    let mut intervals = Vec::new();
    let mut rest = text.trim_start_matches([' ', ',']);
    while !rest.is_empty() {
        let sign = rest.find(|c: char| !"=<>!~^".contains(c))?;
        let (operator, after) = rest.split_at(sign);
        let after = after.trim_start();
        let end = after.find([' ', ',', '<', '>', '=', '!', '~', '^']).unwrap_or(after.len());
        intervals.push(interval(operator, &after[..end])?);
        rest = after[end..].trim_start_matches([' ', ',']);
    }
    (!intervals.is_empty()).then_some(intervals)
}

fn interval(operator: &str, text: &str) -> Option<Interval> {
    let version = Version::parse(text)?;
    let pre = !version.pre.is_empty();
    let from = |low: &Version| Some((low.clone(), true));
    let (low, high, not) = match operator {
        "" | "=" => (from(&version), version.next(version.written), false),
        "!=" => (from(&version), version.next(version.written), true),
        ">" => match version.next(version.written).filter(|_| version.written < 3) {
            Some(next) => (from(&next), None, false),
            None => (Some((version.clone(), false)), None, false),
        },
        ">=" | "=>" => (from(&version), None, false),
        "<" => (None, Some(version.clone()), false),
        "<=" | "=<" => (None, version.next(version.written), false),
        "~" | "~>" => (from(&version), version.next(version.written.min(2)), false),
        "^" => (from(&version), version.next(version.significant()), false),
        _ => return None,
    };
    Some(Interval { low, high, not, pre })
}

impl Interval {
    fn holds(&self, version: &Version) -> bool {
        let above = self.low.as_ref().is_none_or(|(low, inclusive)| match version.order(low) {
            Ordering::Greater => true,
            Ordering::Equal => *inclusive,
            Ordering::Less => false,
        });
        let below = self.high.as_ref().is_none_or(|high| version.order(high) == Ordering::Less);
        (above && below) != self.not
    }
}

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim().trim_start_matches(['v', 'V']);
        let text = text.split('+').next().unwrap_or_default();
        let (numbers, pre) = text.split_once('-').unwrap_or((text, ""));
        let mut version = Self { numbers: [0; 3], written: 0, pre: vec![] };
        for part in numbers.split('.') {
            if matches!(part, "x" | "X" | "*") {
                break;
            }
            *version.numbers.get_mut(version.written)? = part.parse().ok()?;
            version.written += 1;
        }
        version.pre = pre.split('.').filter(|part| !part.is_empty()).map(str::to_owned).collect();
        Some(version)
    }

    /// The first version that does not begin with these numbers; `None` where all do. Of a whole
    /// one, that right behind it.
    fn next(&self, kept: usize) -> Option<Self> {
        let last = kept.checked_sub(1)?;
        let mut next = self.clone();
        if kept == 3 && !self.pre.is_empty() {
            // Nothing lies between a version and the same with one more part.
            next.pre.push("0".to_owned());
            return Some(next);
        }
        next.pre.clear();
        next.numbers[last] = next.numbers[last].checked_add(1)?;
        next.numbers[kept..].fill(0);
        // Below it are its own pre-releases, which are not wanted: so it ends before them.
        next.pre.push(String::new());
        Some(next)
    }

    /// How many numbers `^` keeps: up to the first that is not 0.
    fn significant(&self) -> usize {
        let first = self.numbers.iter().position(|number| *number != 0);
        first.map_or(self.written, |first| first + 1).min(self.written)
    }

    fn order(&self, other: &Self) -> Ordering {
        let numbers = self.numbers.cmp(&other.numbers);
        numbers.then_with(|| match (self.pre.is_empty(), other.pre.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => parts(&self.pre, &other.pre),
        })
    }
}

/// Numbers before words, numbers by value.
fn parts(one: &[String], other: &[String]) -> Ordering {
    let pairs = one.iter().zip(other).map(|(one, other)| match (one.parse(), other.parse()) {
        (Ok(one), Ok(other)) => u64::cmp(&one, &other),
        (Ok(_), Err(_)) if !other.is_empty() => Ordering::Less,
        (Err(_), Ok(_)) if !one.is_empty() => Ordering::Greater,
        _ => one.cmp(other),
    });
    let first = pairs.into_iter().find(|order| order.is_ne());
    first.unwrap_or(one.len().cmp(&other.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_take_the_highest_that_fits() {
        let tags = "v0.0.3 v0.0.4 0.2.3 0.2.9 0.3.0 1.0.0 1.2.0 v1.2.3 1.2.10 1.3.0 1.4.7 1.10.0 \
                    2.0.0-rc.2 2.0.0-rc.10 2.0.0 2.1.0-beta nightly 1.x-dev release-7";
        let cases = [
            (">=1.2 <2", Some("1.10.0")),
            (">=1.2, <2", Some("1.10.0")),
            (">=1.2.0<2.0.0", Some("1.10.0")),
            ("*", Some("2.0.0")),
            ("x", Some("2.0.0")),
            ("1.2", Some("1.2.10")),
            ("1.2.x", Some("1.2.10")),
            ("=1.2.3", Some("v1.2.3")),
            ("v1.2.3", Some("v1.2.3")),
            ("1", Some("1.10.0")),
            ("~1.2.3", Some("1.2.10")),
            ("~1", Some("1.10.0")),
            ("^1.2", Some("1.10.0")),
            ("^0.2.3", Some("0.2.9")),
            ("^0.0.3", Some("v0.0.3")),
            ("1.2 - 1.4", Some("1.4.7")),
            ("<1.2", Some("1.0.0")),
            ("<=1.2", Some("1.2.10")),
            (">1.4 <2", Some("1.10.0")),
            (">1.2 <1.4", Some("1.3.0")),
            ("1.2 || 0.2", Some("1.2.10")),
            ("!=1.10.0 <2", Some("1.4.7")),
            (">=2.0.0-rc.1 <2.0.0", Some("2.0.0-rc.10")),
            (">=2.0.0-0", Some("2.1.0-beta")),
            (">2", None),
            ("3", None),
        ];
        for (range, expected) in cases {
            let found = Range::parse(range).expect(range).best(tags.split_whitespace());
            assert_eq!(found, expected, "{range}");
        }
        for nonsense in ["", "stable", ">=", "release-7", "1.2.3.4", "<>1", "1 ||"] {
            assert_eq!(Range::parse(nonsense), None, "{nonsense}");
        }
    }
}
