//! A process inside types into the terminal of whoever looks at it.

use super::bench::Bench;

/// A shell on a terminal calls keel, then reads what was typed meanwhile: nothing was.
#[test]
fn nothing_is_typed_into_the_callers_terminal() {
    let bench = Bench::new();
    bench.idle("box", &[]);
    let keel = env!("CARGO_BIN_EXE_keel");
    let ways = [
        "exec -it box",
        "exec -t box",
        "exec -i box",
        "exec box",
        "run --rm -it prober:1",
        "run --rm -i prober:1",
        "run --rm prober:1",
        "run --rm --privileged prober:1",
    ];
    let ways = ways.map(|way| {
        format!(
            "{keel} {way} prober tiocsti \"$text\"; read -t 0.2 line; echo \"[$line] was typed\"\n"
        )
    });
    let script = format!("text='injected\n'\n{}", ways.concat());
    let script = bench.write("caller.sh", &script).display().to_string();
    let said = bench.sh(&format!("script -qec 'bash {script}' /dev/null"));
    assert_eq!(said.matches("done tiocsti").count(), 8, "{said}");
    assert!(said.contains("TIOCSTI 0"), "{said}");
    assert_eq!(said.matches("[] was typed").count(), 8, "{said}");
    bench.witness.kept_from(&said);
    bench.finish(&[]);
}
