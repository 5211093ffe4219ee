//! Tab completion in a real shell: the names that exist, commands and options.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use support::Host;

const STACK: &str = "services:
  web: { image: 'busybox:1', init: true, command: sleep 1000000, volumes: ['data:/data'] }
volumes: { data: }
";

/// What bash offers behind these words when the last one is completed.
fn offered(host: &Host, words: &str) -> Vec<String> {
    let keel = env!("CARGO_BIN_EXE_keel");
    let script = format!(
        "source <({keel} completion bash)
         COMP_WORDS=({words}); [[ '{words}' == *' ' ]] && COMP_WORDS+=('')
         COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)) COMP_TYPE=9
         function=$(complete -p keel | sed 's/.*-F \\([^ ]*\\).*/\\1/')
         \"$function\" keel \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"
         printf '%s\\n' \"${{COMPREPLY[@]}}\""
    );
    let output = host.command("bash").args(["-c", &script]).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!error.contains("error"), "{words}: {error}");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| line.trim_end().to_owned())
        .filter(|line| !line.is_empty())
        .collect()
}

/// The same without options, which fit nearly everywhere.
fn names(host: &Host, words: &str) -> Vec<String> {
    offered(host, words).into_iter().filter(|word| !word.starts_with('-')).collect()
}

#[test]
fn bash_completes_commands_and_options() {
    let host = Host::bare();
    assert_eq!(offered(&host, "keel stat"), ["status"]);
    assert_eq!(offered(&host, "keel explain E0401"), ["E0401"]);
    assert_eq!(offered(&host, "keel up --force"), ["--force-recreate"]);
    assert_eq!(offered(&host, "keel plan --format "), ["table", "json"]);
    assert!(names(&host, "keel restart ").is_empty(), "nothing is there");
    host.write("shop/compose.yaml", STACK);
    assert_eq!(offered(&host, "keel plan ./sh"), ["./shop/"]);
    host.finish();
}

#[test]
fn bash_completes_names_that_exist() {
    let host = Host::new();
    host.write("shop/compose.yaml", STACK);
    let look = |host: &Host| {
        assert_eq!(names(host, "keel exec sh"), ["shop", "shop-web-1", "shop/web"]);
        assert!(names(host, "keel exec shop-web-1 ls ").is_empty(), "a command's words");
        assert_eq!(names(host, "keel status "), ["shop"]);
        assert_eq!(names(host, "keel down sh"), ["shop", "shop/"]);
        assert_eq!(names(host, "keel rmi busy"), ["busybox:1"]);
        assert_eq!(names(host, "keel volume rm "), ["shop_data"]);
        assert_eq!(names(host, "keel network rm "), ["shop_default"]);
    };
    host.keel(&["up", "-d", "./shop"]).ok();
    look(&host);
    let serve = host.serve(&["shop"]);
    look(&host);
    assert_eq!(names(&host, "keel confirm d"), ["default"]);
    host.keel(&["down", "-v", "shop"]).ok();
    drop(serve);
    host.finish();
}
