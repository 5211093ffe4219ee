//! Who drives: a lease is over once another process has driven the root.

use crate::Test;
use crate::lab::Lab;
use keel_embedded::RootLock;
use keel_engine::{Assignment, Depth, Engine, EngineError, Lease, Phase, TaskAssignment};

pub const TESTS: &[Test] = &[
    ("a_lease_ends_with_its_driver", || Box::pin(a_lease_ends_with_its_driver())),
    ("a_lease_that_another_had_since_is_over", || {
        Box::pin(a_lease_that_another_had_since_is_over())
    }),
    ("nobody_else_drives_while_a_lease_is_held", || {
        Box::pin(nobody_else_drives_while_a_lease_is_held())
    }),
];

async fn under(lab: &Lab, lease: &Lease, wish: &TaskAssignment) -> Result<(), EngineError> {
    let wishes = [Assignment::Task(Box::new(wish.clone()))];
    lab.engine().assign_under(lease, &wishes).await
}

/// Whoever is refused is told by whom, and nothing of the wish is there.
async fn is_refused(lab: &Lab, lease: &Lease, by: &str) {
    let wish = lab.task("refused", &[]);
    let refused = under(lab, lease, &wish).await;
    assert!(
        matches!(&refused, Err(EngineError::Driven { by: who }) if who.contains(by)),
        "{refused:?}"
    );
    let seen = lab.engine().observe(Depth::State).await.unwrap();
    assert!(seen.task(&wish.id).is_none(), "{seen:#?}");
}

/// As after `kill -9`: the next driver did not hear of the lease.
async fn a_lease_ends_with_its_driver() {
    let mut lab = Lab::open().await;
    let before = lab.engine().lease().await.unwrap();
    lab.reopen().await;
    is_refused(&lab, &before, "engine tests").await;
    let now = lab.engine().lease().await.unwrap();
    assert!(now.epoch > before.epoch, "{before:?} {now:?}");
    is_refused(&lab, &before, "engine tests").await;
    let wish = lab.task("web", &[]);
    under(&lab, &now, &wish).await.unwrap();
    lab.until_phase(&wish, Phase::Running).await;
    lab.clean().await;
}

async fn a_lease_that_another_had_since_is_over() {
    let mut lab = Lab::open().await;
    lab.reopen_in_turns().await;
    let before = lab.engine().lease().await.unwrap();
    lab.engine().release(&before);
    let other = lab.locked_by("keel stop").await;
    is_refused(&lab, &before, "keel stop").await;
    drop(other);
    let now = lab.engine().lease().await.unwrap();
    assert!(now.epoch > before.epoch, "{before:?} {now:?}");
    is_refused(&lab, &before, "engine tests").await;
    lab.engine().release(&now);
    let serve = lab.locked_by("keel serve").await;
    let refused = lab.engine().lease().await.map(drop);
    assert!(matches!(refused, Err(EngineError::Driven { .. })), "it stays: {refused:?}");
    drop(serve);
    // Whoever was refused once leaves the root to the other.
    lab.reopen().await;
    lab.clean().await;
}

async fn nobody_else_drives_while_a_lease_is_held() {
    let mut lab = Lab::open().await;
    lab.reopen_in_turns().await;
    let (first, second) =
        (lab.engine().lease().await.unwrap(), lab.engine().lease().await.unwrap());
    lab.engine().release(&first);
    let wish = lab.task("web", &[]);
    under(&lab, &second, &wish).await.unwrap();
    lab.until_phase(&wish, Phase::Running).await;
    lab.engine().idle().await;
    assert!(RootLock::acquire(&lab.layout, "keel stop", false).is_err(), "one lease still holds");
    lab.engine().release(&second);
    drop(lab.locked().await);
    lab.reopen().await;
    lab.clean().await;
}
