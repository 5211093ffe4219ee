//! Waiting for what happens elsewhere: asked again and again, until a deadline.

use std::time::{Duration, Instant};

/// How long anything may take on a usual machine.
const LIMIT: Duration = Duration::from_secs(60);

/// How often is asked.
const PAUSE: Duration = Duration::from_millis(20);

/// How many times longer than on a usual machine anything may take: `KEEL_PATIENCE`, which a virtual
/// machine without KVM sets.
#[must_use]
pub fn patience() -> u32 {
    std::env::var("KEEL_PATIENCE").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// The end of a test's patience.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(Instant);

impl Deadline {
    /// As far away as anything may take.
    #[must_use]
    pub fn start() -> Self {
        Self(Instant::now() + LIMIT * patience())
    }

    /// Whether it is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        Instant::now() >= self.0
    }

    /// For each round of a loop that drives what it waits for.
    ///
    /// # Panics
    /// When it is over.
    #[track_caller]
    pub fn check(&self, what: &str) {
        assert!(!self.is_over(), "not in time: {what}");
    }
}

/// The first answer; none when the deadline is over.
pub fn eventually<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Deadline::start();
    loop {
        match look() {
            None if !deadline.is_over() => std::thread::park_timeout(PAUSE),
            answer => return answer,
        }
    }
}

/// Waits until a condition yields something.
///
/// # Panics
/// When the deadline is over; `explain` says what there is instead.
#[track_caller]
pub fn until<T>(what: &str, look: impl FnMut() -> Option<T>, explain: impl Fn() -> String) -> T {
    match eventually(look) {
        Some(found) => found,
        None => panic!("not in time: {what}\n{}", explain()),
    }
}

/// Waits until a look succeeds; its error says what there is instead.
///
/// # Panics
/// When the deadline is over.
pub async fn until_ok<T, F>(what: &str, mut look: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, String>>,
{
    let deadline = Deadline::start();
    loop {
        match look().await {
            Ok(found) => return found,
            Err(instead) => assert!(!deadline.is_over(), "not in time: {what}\n{instead}"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Waits until it holds.
///
/// # Panics
/// When the deadline is over.
pub async fn until_holds<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    until_ok(what, || {
        let holds = holds();
        async { if holds.await { Ok(()) } else { Err(String::new()) } }
    })
    .await;
}

/// What something ends with.
///
/// # Panics
/// When it does not end in time.
pub async fn in_time<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(LIMIT * patience(), work).await {
        Ok(done) => done,
        Err(_) => panic!("not in time: {what}"),
    }
}
