//! Delivers the letters that the controller has.

use crate::context::Context;
use crate::deliver::Addressee;
use crate::show::Screen;
use keel_notify::{DeliveryResult, Http};
use keel_reconciler::Controller;
use keel_reconciler::notices::Sent;
use std::sync::Arc;
use tokio::task::JoinSet;

/// Whoever delivers; it ends with this. What is on its way then is sent again by the next `serve`.
pub struct Delivering(#[expect(dead_code, reason = "its end is theirs")] JoinSet<()>);

/// Delivers, each destination in a loop of its own, until it is dropped.
pub fn deliver(all: Vec<Addressee>, controller: &Controller, context: &Context) -> Delivering {
    let http = Arc::new(Http::new());
    let mut loops = JoinSet::new();
    for one in all {
        let (controller, screen) = (controller.clone(), context.screen.clone());
        loops.spawn(serve(one, controller, http.clone(), screen));
    }
    Delivering(loops)
}

async fn serve(one: Addressee, controller: Controller, http: Arc<Http>, screen: Screen) {
    let mut told = Told::default();
    let key = &one.destination.key;
    loop {
        let letter = controller.next_letter(key).await;
        let verdict = one.send(&letter, &http, controller.host()).await;
        match told.line(key, &verdict) {
            Some(line) if verdict == DeliveryResult::Done => screen.tell(&line),
            Some(line) => screen.warn(&line),
            None => {}
        }
        controller.letter_sent(&letter, &sent(verdict)).await;
    }
}

fn sent(verdict: DeliveryResult) -> Sent {
    match verdict {
        DeliveryResult::Done => Sent::Done,
        DeliveryResult::Later { why, wait } => Sent::Later { why, wait },
        DeliveryResult::Refused { why } => Sent::Refused { why },
    }
}

/// What whoever watches was told of one destination: that something does not arrive is told when
/// it begins.
#[derive(Default)]
struct Told {
    last: Option<String>,
}

impl Told {
    fn line(&mut self, key: &str, verdict: &DeliveryResult) -> Option<String> {
        let (why, then) = match verdict {
            DeliveryResult::Done => {
                let was_away = self.last.take().is_some();
                return was_away.then(|| format!("{key}: arrives again"));
            }
            DeliveryResult::Later { why, .. } => (why, "it is retried automatically"),
            DeliveryResult::Refused { why } => (why, "that message is given up"),
        };
        let news = self.last.as_ref() != Some(why);
        self.last = Some(why.clone());
        news.then(|| format!("{key}: {why}; {then}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_arrive_is_told_once() {
        let mut told = Told::default();
        let away = DeliveryResult::Later { why: "hangs".into(), wait: None };
        assert_eq!(
            told.line("ntfy", &away).as_deref(),
            Some("ntfy: hangs; it is retried automatically")
        );
        assert_eq!(told.line("ntfy", &away), None);
        assert_eq!(
            told.line("ntfy", &DeliveryResult::Done).as_deref(),
            Some("ntfy: arrives again")
        );
        assert_eq!(told.line("ntfy", &DeliveryResult::Done), None);
    }
}
