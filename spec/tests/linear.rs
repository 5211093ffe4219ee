//! Loading costs in proportion to the input: counted in allocations, which do not depend on how
//! busy a machine is.

#[path = "../benches/counting/mod.rs"]
mod counting;

use keel_spec::{Memory, Project, load};

#[global_allocator]
static ALLOCATOR: counting::Counting = counting::Counting;

/// What loading a file of so many services allocates, and how much memory at a time.
fn cost(services: usize, service: impl Fn(usize) -> String) -> (usize, usize) {
    let text: String = (0..services).map(service).collect();
    let text = format!("services:\n{text}volumes: {{v: }}\n");
    let files = Memory::default().with("/a/compose.yaml", text);
    counting::reset();
    let loaded = load(&Project::new("/a"), &files);
    let cost = (counting::count(), counting::peak());
    assert!(loaded.stack.is_some(), "{:?}", loaded.problems);
    cost
}

/// Four times the input costs hardly more than four times as much.
fn grows_with_the_input(service: impl Fn(usize) -> String + Copy) {
    let (small, large) = (cost(100, service), cost(400, service));
    let within = |small: usize, large: usize| large < small * 5;
    assert!(within(small.0, large.0), "allocations: {} and {}", small.0, large.0);
    assert!(within(small.1, large.1), "memory: {} and {}", small.1, large.1);
}

/// One test, since all of them count together.
#[test]
fn loading_costs_in_proportion() {
    grows_with_the_input(|n| format!("  s{n}: {{image: 'x:1', environment: {{A: {n}}}}}\n"));
    grows_with_the_input(|n| {
        let port = 10_000 + n;
        format!("  s{n}: {{image: 'x:1', ports: ['{port}:80'], volumes: ['v:/v', '/a:/b:ro']}}\n")
    });
    grows_with_the_input(|n| {
        let before = n.saturating_sub(1);
        let depends = if n == 0 { String::new() } else { format!(", depends_on: [s{before}]") };
        format!("  s{n}: {{image: 'x:1'{depends}}}\n")
    });
    grows_with_the_input(|n| format!("  s{n}: {{image: 'x:1', command: 'a ${{B:-c}} d'}}\n"));
}
