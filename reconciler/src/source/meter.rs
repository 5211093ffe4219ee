//! What a server sends during one fetch, measured as it comes: how much, of what, how fast.

use super::packs::{Bounds, Pack};
use crate::limits;
use std::cell::Cell;
use std::time::{Duration, Instant};

/// What one fetch may cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowance {
    /// Bytes of packs.
    pub bytes: u64,
    /// When it ends.
    pub until: Instant,
}

thread_local! {
    static PRESENT: Cell<Option<Allowance>> = const { Cell::new(None) };
}

impl Allowance {
    /// From now on.
    pub fn new(bytes: u64) -> Self {
        Self { bytes, until: Instant::now() + limits::GIT_FETCH }
    }

    /// Does the work within it: like an identity, it reaches a transport by its thread alone.
    pub fn during<T>(self, work: impl FnOnce() -> T) -> T {
        /// Also when the work panics: the thread is used again.
        struct Forget;
        impl Drop for Forget {
            fn drop(&mut self) {
                PRESENT.set(None);
            }
        }
        PRESENT.set(Some(self));
        let _forget = Forget;
        work()
    }

    /// That of the fetch under way on this thread.
    pub fn present() -> Self {
        PRESENT.get().unwrap_or_else(|| Self::new(limits::GIT_SIZE))
    }

    /// How long it lasts yet.
    pub fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }
}

/// What a server is saying.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Topic {
    /// Its branches and tags; a pack follows in the same stream.
    ReferencesFirst,
    /// Its branches and tags.
    References,
    /// A pack, with what is said around it.
    Pack,
}

/// Measures one connection.
pub(super) struct Meter {
    allowance: Allowance,
    topic: Topic,
    at: At,
    references: u64,
    talk: u64,
    pack: Pack,
    /// Since when, and how much came since then.
    pace: (Instant, u64),
}

/// Within a line of Git's protocol.
enum At {
    Length([u8; 4], usize),
    Line {
        left: usize,
        band: Option<u8>,
    },
    /// No lines any more: a pack without them.
    Bare,
}

const START: At = At::Length([0; 4], 0);
const PACK_BAND: u8 = 1;

impl Meter {
    pub fn new(topic: Topic, allowance: Allowance) -> Self {
        let bounds = Bounds { bytes: allowance.bytes, object: limits::GIT_OBJECT };
        Self {
            allowance,
            topic,
            at: START,
            references: 0,
            talk: 0,
            pack: Pack::new(bounds),
            pace: (Instant::now(), 0),
        }
    }

    /// A further answer over the same connection.
    pub fn begin(&mut self, topic: Topic) {
        (self.topic, self.at) = (topic, START);
    }

    /// Whether the branches and tags that come first are over.
    pub fn has_told(&self) -> bool {
        self.topic != Topic::ReferencesFirst
    }

    /// When all of it must be over.
    pub fn until(&self) -> Instant {
        self.allowance.until
    }

    /// Takes what has come; why that goes too far, if it does.
    pub fn take(&mut self, bytes: &[u8], now: Instant) -> Result<(), String> {
        self.pace(bytes.len() as u64, now)?;
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = match self.at {
                At::Length(..) => self.length(rest)?,
                At::Line { .. } => self.line(rest)?,
                At::Bare => self.content(None, rest).map(|()| &rest[rest.len()..])?,
            };
        }
        Ok(())
    }

    fn pace(&mut self, came: u64, now: Instant) -> Result<(), String> {
        if now >= self.allowance.until {
            return Err(TOO_LONG.to_owned());
        }
        self.pace.1 += came;
        if now.saturating_duration_since(self.pace.0) < limits::GIT_SLOW {
            return Ok(());
        }
        if self.pace.1 < limits::GIT_SLOW_BYTES {
            return Err("the server is too slow: the fetch is given up".to_owned());
        }
        self.pace = (now, 0);
        Ok(())
    }

    fn length<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], String> {
        let At::Length(digits, have) = &mut self.at else { return Ok(bytes) };
        let took = bytes.len().min(4 - *have);
        digits[*have..*have + took].copy_from_slice(&bytes[..took]);
        *have += took;
        if *have == 4 {
            let digits = *digits;
            self.begun(digits)?;
        }
        Ok(&bytes[took..])
    }

    fn begun(&mut self, digits: [u8; 4]) -> Result<(), String> {
        let text = std::str::from_utf8(&digits).unwrap_or_default();
        self.at = START;
        match usize::from_str_radix(text, 16) {
            Ok(0) if self.topic == Topic::ReferencesFirst => self.topic = Topic::Pack,
            // Delimiters, an end, or an empty line.
            Ok(..=4) => {}
            Ok(length) => self.at = At::Line { left: length - 4, band: None },
            Err(_) => {
                self.at = At::Bare;
                return self.content(None, &digits);
            }
        }
        self.counted(4)
    }

    fn line<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], String> {
        let At::Line { left, band } = &mut self.at else { return Ok(bytes) };
        let (now, rest) = bytes.split_at(bytes.len().min(*left));
        *left -= now.len();
        let is_first = band.is_none();
        let which = *band.get_or_insert(now[0]);
        if *left == 0 {
            self.at = START;
        }
        let content = if is_first && which == PACK_BAND { &now[1..] } else { now };
        self.content(Some(which), content)?;
        Ok(rest)
    }

    fn content(&mut self, band: Option<u8>, bytes: &[u8]) -> Result<(), String> {
        match (self.topic, band) {
            (Topic::Pack, None | Some(PACK_BAND)) => self.pack.take(bytes),
            _ => self.counted(bytes.len() as u64),
        }
    }

    fn counted(&mut self, bytes: u64) -> Result<(), String> {
        let (sum, most, what) = match self.topic {
            Topic::Pack => (&mut self.talk, limits::GIT_TALK, "words beside the pack"),
            _ => (&mut self.references, limits::GIT_ADVERTISEMENT, "names of branches and tags"),
        };
        *sum += bytes;
        match *sum > most {
            true => Err(format!(
                "the server sends more than {} of {what}",
                keel_engine::Value::Bytes(most)
            )),
            false => Ok(()),
        }
    }
}

/// Of a fetch whose time is over.
pub(super) const TOO_LONG: &str = "the fetch takes longer than 30 minutes and is given up";

#[cfg(test)]
mod tests {
    use super::*;

    fn meter(topic: Topic) -> Meter {
        Meter::new(topic, Allowance { bytes: 1 << 20, until: Instant::now() + limits::GIT_FETCH })
    }

    fn line(band: &[u8], content: &[u8]) -> Vec<u8> {
        let length = format!("{:04x}", 4 + band.len() + content.len());
        [length.as_bytes(), band, content].concat()
    }

    /// All of it, and byte by byte.
    fn judged(topic: Topic, bytes: &[u8]) -> Result<(), String> {
        let now = Instant::now();
        let (mut whole, mut cut) = (meter(topic), meter(topic));
        let once = whole.take(bytes, now);
        assert_eq!(once, bytes.iter().try_for_each(|byte| cut.take(&[*byte], now)));
        once
    }

    fn empty_pack() -> Vec<u8> {
        [b"PACK\0\0\0\x02\0\0\0\0".as_slice(), &[0; 20]].concat()
    }

    #[test]
    fn what_servers_say_passes() {
        let references = [line(b"", b"abc refs/heads/main\n"), b"0000".to_vec()].concat();
        assert_eq!(judged(Topic::References, &references), Ok(()));
        let pack = empty_pack();
        let banded = [
            line(b"", b"NAK\n"),
            line(&[2], b"Counting\n"),
            line(&[1], &pack[..5]),
            line(&[1], &pack[5..]),
            b"0000".to_vec(),
        ];
        assert_eq!(judged(Topic::Pack, &banded.concat()), Ok(()));
        let bare = [line(b"", b"NAK\n"), pack.clone()].concat();
        assert_eq!(judged(Topic::Pack, &bare), Ok(()));
        let both = [references, line(b"", b"NAK\n"), pack].concat();
        assert_eq!(judged(Topic::ReferencesFirst, &both), Ok(()));
    }

    #[test]
    fn nothing_goes_on_without_end() {
        let now = Instant::now();
        let endless = |topic, bytes: &[u8]| {
            let mut meter = meter(topic);
            (0..20_000).find_map(|_| meter.take(bytes, now).err()).expect("it has an end")
        };
        let told = endless(Topic::References, &line(b"", &[b'a'; 9_000]));
        assert!(told.contains("more than 32MiB of names"), "{told}");
        let told = endless(Topic::References, &[b'x'; 9_000]);
        assert!(told.contains("more than 32MiB of names"), "{told}");
        let told = endless(Topic::References, &b"0000".repeat(2_000));
        assert!(told.contains("more than 32MiB of names"), "{told}");
        for talk in [line(&[2], &[b'a'; 9_000]), line(b"", b"NAK\n").repeat(1_000)] {
            let told = endless(Topic::Pack, &talk);
            assert!(told.contains("more than 8MiB of words"), "{told}");
        }
        assert!(endless(Topic::Pack, &line(&[1], &[0; 9_000])).contains("garbled"));
    }

    #[test]
    fn who_is_too_slow_is_given_up() {
        let (now, mut slow) = (Instant::now(), meter(Topic::Pack));
        let seconds = |count| now + Duration::from_secs(count);
        let told = (1..600).find_map(|at| Some((at, slow.take(b"0", seconds(at)).err()?)));
        assert!(told.is_some_and(|(at, why)| at >= 300 && why.contains("too slow")));
        let mut steady = meter(Topic::Pack);
        let words = line(&[2], &[b'a'; 300]);
        let told = (1..1_900).find_map(|at| Some((at, steady.take(&words, seconds(at)).err()?)));
        assert!(told.is_some_and(|(at, why)| at >= 1_799 && why == TOO_LONG));
    }
}
