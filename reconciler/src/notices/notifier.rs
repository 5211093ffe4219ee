//! Looks, decides, keeps; and hands letters to whoever delivers them.

use super::book::{Addressed, Book};
use super::outbox::Next;
use super::telling::Kept;
use super::{Notification, Sent};
use crate::clock::rfc3339;
use crate::controller::Controller;
use crate::rows::DeliveryRow;
use std::time::Duration;

/// Hints come in bursts, and a look sees them all.
const BURST: Duration = Duration::from_millis(200);
/// Between two looks while time alone may bring news.
const SOON: Duration = Duration::from_secs(1);
/// Between two looks that nobody asked for.
const PATIENCE: Duration = Duration::from_secs(15);

/// Looks for news for as long as it is wanted.
pub(crate) async fn run(controller: Controller) {
    if controller.settings().destinations.is_empty() {
        return std::future::pending().await;
    }
    loop {
        // What cannot be seen or stored now is with the next look.
        let began = tokio::time::Instant::now();
        let pause = if look(&controller).await.unwrap_or(true) { SOON } else { PATIENCE };
        // However many stacks there are, most of the time is the passes'.
        let rest = BURST.max(began.elapsed() * 4);
        let _ = tokio::time::timeout(pause, controller.notifier().bell.notified()).await;
        tokio::time::sleep(rest).await;
    }
}

/// One look; `None` where nothing could be seen.
async fn look(controller: &Controller) -> Option<bool> {
    let looked = controller.look_for_news().await.ok()?;
    let settings = controller.settings();
    let to = Addressed { destinations: &settings.destinations, host: &settings.host };
    let now = controller.now();
    let decide = |book: &mut Book| book.look(&looked, &to, now);
    controller.change_book(decide).await
}

impl Controller {
    /// Changes the book, and stores it where that matters. What cannot be stored stays in memory
    /// and is sent all the same: a full disk is worth a message. `None`: it could not be read.
    async fn change_book<T>(&self, change: impl FnOnce(&mut Book) -> T) -> Option<T> {
        let mut kept = self.notifier().kept.lock().await;
        if kept.book.is_none() {
            kept.book = Some(self.records().told().await.ok()?);
        }
        let Kept { book, stored } = &mut *kept;
        let book = book.as_mut()?;
        let given = change(book);
        let bytes = serde_json::to_vec(book).unwrap_or_default();
        if bytes != *stored && self.records().put_told(book).await.is_ok() {
            *stored = bytes;
        }
        drop(kept);
        self.notifier().letters.send_replace(());
        Some(given)
    }

    /// The next letter for this destination, as soon as it is due. It is given again until
    /// [`letter_sent`](Self::letter_sent) says what became of it.
    pub async fn next_letter(&self, to: &str) -> Notification {
        let mut changed = self.notifier().letters.subscribe();
        loop {
            changed.mark_unchanged();
            let now = self.now();
            let next = match &self.notifier().kept.lock().await.book {
                Some(book) => book.outbox.next(to, now),
                None => Next::Nothing,
            };
            let pause = match next {
                Next::Notification(letter) => return letter,
                Next::At(at) => Duration::from_millis(at.saturating_sub(now)).min(PATIENCE),
                Next::Nothing => PATIENCE,
            };
            // The notifier lives as long as the controller, so this ends in a change or in time.
            let _ = tokio::time::timeout(pause, changed.changed()).await;
        }
    }

    /// What became of a letter.
    pub async fn letter_sent(&self, letter: &Notification, sent: &Sent) {
        let now = self.now();
        self.change_book(|book| book.outbox.sent(letter, sent, now)).await;
    }

    /// Receivers and forges that are not reached, or refused something.
    pub async fn deliveries(&self) -> Vec<DeliveryRow> {
        let kept = self.notifier().kept.lock().await;
        let troubled = kept.book.as_ref().map(|book| book.outbox.troubled()).unwrap_or_default();
        let row = |(name, state, waiting): (String, super::DeliveryState, usize)| DeliveryRow {
            name,
            failing: (state.failing > 0).then(|| rfc3339(state.failing)),
            why: state.why,
            waiting,
            lost: state.lost,
        };
        troubled.into_iter().map(row).collect()
    }
}
