//! Loading costs in proportion to the input: counted in allocations, which do not depend on how
//! busy a machine is.

use keel_spec::{Memory, Project, load};

/// What loading a file of so many services allocates, and how much memory at a time.
fn cost(services: usize, service: impl Fn(usize) -> String) -> (u64, u64) {
    let text: String = (0..services).map(service).collect();
    let text = format!("services:\n{text}volumes: {{v: }}\n");
    let files = Memory::default().with("/a/compose.yaml", text);
    let cost = allocation_counter::measure(|| {
        let loaded = load(&Project::new("/a"), &files);
        assert!(loaded.stack.is_some(), "{:?}", loaded.problems);
    });
    (cost.count_total, cost.bytes_max)
}

/// Four times the input costs hardly more than four times as much.
fn grows_with_the_input(service: impl Fn(usize) -> String + Copy) {
    let (small, large) = (cost(100, service), cost(400, service));
    let within = |small: u64, large: u64| large < small * 5;
    assert!(within(small.0, large.0), "allocations: {} and {}", small.0, large.0);
    assert!(within(small.1, large.1), "memory: {} and {}", small.1, large.1);
}

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
