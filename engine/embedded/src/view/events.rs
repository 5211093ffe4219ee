//! Hints that something changed: what the engine does itself, and what the view is told.

use crate::core::Core;
use crate::view::Heard;
use futures_util::stream::{BoxStream, unfold};
use keel_engine::Event;
use std::sync::{Arc, Weak};
use tokio::sync::broadcast::{Receiver, error::RecvError};

/// A listener's events; what it was too slow for is said to be missed.
pub(crate) fn stream(receiver: Receiver<Event>) -> BoxStream<'static, Event> {
    Box::pin(unfold(receiver, |mut receiver| async {
        match receiver.recv().await {
            Ok(event) => Some((event, receiver)),
            Err(RecvError::Lagged(_)) => Some((Event::Missed, receiver)),
            Err(RecvError::Closed) => None,
        }
    }))
}

impl Core {
    /// Hands on every change, until the engine is gone.
    pub(crate) async fn listen(core: Weak<Self>) {
        loop {
            let Some(view) = core.upgrade().map(|core| Arc::clone(&core.view)) else { return };
            let Ok(heard) = view.heard().await else { return };
            let Some(core) = core.upgrade() else { return };
            heard.into_iter().for_each(|heard| core.tell(heard));
        }
    }

    fn tell(&self, heard: Heard) {
        let event = match heard {
            Heard::Task(id, wakes) => {
                if wakes {
                    self.wake_known(&id);
                }
                Event::Task(id)
            }
            Heard::Anything => {
                self.wake_all_known();
                Event::Missed
            }
        };
        // Nobody may listen.
        let _ = self.events.send(event);
    }
}
