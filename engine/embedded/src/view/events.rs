//! Hints that something changed: what the engine does itself, and what the view is told.

use crate::task::queue::Queue;
use crate::view::{Heard, View};
use futures_util::stream::{BoxStream, unfold};
use keel_engine::Event;
use std::sync::Arc;
use tokio::sync::broadcast::{Receiver, Sender, error::RecvError};

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

/// Hands on every change, until the engine is gone: to the drivers of its tasks, and to whoever listens.
pub(crate) async fn listen(view: Arc<View>, queue: Arc<Queue>, events: Sender<Event>) {
    while let Ok(heard) = view.heard().await {
        for heard in heard {
            // Nobody may listen.
            let _ = events.send(told(&queue, heard));
        }
    }
}

fn told(queue: &Queue, heard: Heard) -> Event {
    match heard {
        Heard::Task(id, wakes) => {
            if wakes {
                queue.wake_known(&id);
            }
            Event::Task(id)
        }
        // No task changed: whoever plans looks again at what is held for want of a device.
        Heard::Host => Event::Missed,
        Heard::Anything => {
            queue.wake_all_known();
            Event::Missed
        }
    }
}
