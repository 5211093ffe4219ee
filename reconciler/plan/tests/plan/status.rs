//! Sync, health and notes, apart from each other.

use crate::world::{World, stack};
use keel_plan::status::status;
use keel_plan::text::of_notes;

fn said(world: &World) -> String {
    let status = status(&world.inputs(&world.nodes()));
    let notes = of_notes(&status.notes);
    format!("{} {} {:?} {notes:?}\n", status.sync, status.health, status.services)
}

#[test]
fn three_answers_are_never_mixed() {
    let running = || stack().wants("web", "nginx:1").checked("web").converge();
    let mut under_way = running().push("web", "nginx:2", "r2");
    (0..4).for_each(|_| _ = under_way.step());
    let data = stack().wants("web", "pg:1").with_data("web").checked("web").converge();
    let mut down = running();
    down.standing.stopped.insert("web.1".into());
    let cases = [
        ("nothing yet", stack().wants("web", "nginx:1")),
        ("all well", running()),
        ("pushed", running().push("web", "nginx:2", "r2")),
        ("under way", under_way),
        ("failed and back", running().push("web", "sick", "r2").converge()),
        ("crashes from the start", stack().wants("web", "crash").converge()),
        ("late, with data", data.push("web", "sick", "r2").converge()),
        ("stopped", down.converge()),
    ];
    let text: String =
        cases.iter().map(|(name, world)| format!("{name}: {}", said(world))).collect();
    insta::assert_snapshot!(text, @r#"
    nothing yet: OutOfSync Missing {"web": (0, 1)} ["web.1: waits for image nginx:1"]
    all well: InSync Healthy {"web": (1, 1)} []
    pushed: OutOfSync Progressing {"web": (1, 1)} ["web.1: waits for image nginx:2"]
    under way: OutOfSync Progressing {"web": (1, 1)} []
    failed and back: OutOfSync Healthy {"web": (1, 1)} ["revision r2 failed: web.1 not healthy after 120 s"]
    crashes from the start: InSync Degraded {"web": (1, 1)} ["revision r1 failed: web.1 exited (1) 3 times", "web.1 crashed 3 times"]
    late, with data: InSync Degraded {"web": (0, 1)} ["web.1 not healthy after 120 s"]
    stopped: InSync Suspended {"web": (0, 1)} ["web.1 was stopped by a person"]
    "#);
}

#[test]
fn the_revision_is_the_desired_one_once_nothing_differs_from_it() {
    let revision = |world: &World| status(&world.inputs(&world.nodes())).revision;
    let two = || stack().wants("web", "nginx:1").wants("db", "postgres:1").converge();
    let mut removed = two().without("db");
    removed.desired.revision = "r2".into();
    assert_eq!(revision(&removed), "r1", "not done yet");
    assert_eq!(revision(&removed.converge()), "r2");
    let mut untouched = two();
    untouched.desired.revision = "r3".into();
    assert_eq!(revision(&untouched), "r3", "a commit that changed nothing of it");
    let failed = two().checked("web").converge().push("web", "sick", "r4").converge();
    assert_eq!(revision(&failed), "r1", "what failed was taken back");
}
