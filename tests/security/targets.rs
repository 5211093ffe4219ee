//! Where things are mounted, made and written: through links of the image's, and while another
//! container exchanges folders with links.

use super::bench::{Bench, service};
use serde_json::json;
use std::fs;
use std::os::unix::fs::symlink;

/// Where a link of an image may lead, {} being the host's folder.
const LINKS: [(&str, &str); 8] = [
    ("absolute", "{}"),
    ("up", "../../../../../../../../../..{}"),
    ("descriptor", "/proc/self/fd/5/../../../../../..{}"),
    ("first", "/proc/1/root{}"),
    ("own", "/proc/self/root{}"),
    ("dangling", "{}/new"),
    ("loop", "loop"),
    ("system", "/proc/sys/kernel"),
];

fn image_with_links(bench: &Bench, config: &serde_json::Value) -> String {
    let layer = bench.path("layer");
    fs::create_dir_all(layer.join("etc")).unwrap();
    let outside = bench.witness.empty_folder().display().to_string();
    for (name, target) in LINKS {
        fs::remove_file(layer.join(name)).ok();
        symlink(target.replace("{}", &outside), layer.join(name)).unwrap();
    }
    for name in ["hosts", "hostname", "resolv.conf", "mtab"] {
        fs::remove_file(layer.join("etc").join(name)).ok();
        symlink(format!("{outside}/{name}"), layer.join("etc").join(name)).unwrap();
    }
    bench.image(config, Some(&layer))
}

/// Volumes, memory, configs, secrets and working folders, each on each link.
#[test]
fn mounts_on_links_land_inside() {
    let bench = Bench::new();
    let image = image_with_links(&bench, &json!({}));
    bench.write("links/file", "content\n");
    let mut services = json!({});
    let kinds = |target: &str| {
        [
            ("volume", json!({ "volumes": [format!("kept:{target}")] })),
            ("below", json!({ "volumes": [format!("kept:{target}/below")] })),
            ("tmpfs", json!({ "tmpfs": [target] })),
            (
                "config",
                json!({ "configs": [{ "source": "text", "target": format!("{target}/file") }] }),
            ),
            ("secret", json!({ "secrets": [{ "source": "text", "target": target }] })),
            ("folder", json!({ "working_dir": format!("{target}/made") })),
            ("device", json!({ "devices": [format!("/dev/null:{target}/node")] })),
            ("init", json!({ "init": true, "working_dir": target, "tmpfs": ["/sbin"] })),
        ]
    };
    for (number, (name, _)) in LINKS.into_iter().enumerate() {
        // Half of them, by turns: each kind meets each sort of link.
        let kinds = kinds(&format!("/{name}")).into_iter().skip(number % 2).step_by(2);
        for (kind, keys) in kinds {
            let mut keys = service(keys);
            keys["image"] = json!(image);
            keys["command"] = json!(["sh", "-c", "echo x >made-here; echo done"]);
            keys["network_mode"] = json!("none");
            services[format!("{name}-{kind}")] = keys;
        }
    }
    let text = json!({ "text": { "file": "./file" } });
    let stack = json!({ "services": services, "volumes": { "kept": null }, "configs": text, "secrets": text });
    let heard = super::bench::ends(&bench, "links", stack);
    let ran = heard.iter().filter(|(_, said)| said.contains("done")).count();
    assert!(ran > 5, "{ran} of the containers ran: the attempts were not made");
    bench.witness.holds();
    bench.finish(&["links"]);
}

/// The image's own folder and files at the very places that keel makes, on every start.
#[test]
fn folders_of_the_image_are_made_inside() {
    let bench = Bench::new();
    let outside = bench.witness.empty_folder().display().to_string();
    for folder in
        ["/absolute/made", "/up/made", "/descriptor/x", "/first/x", "/dangling", "/loop/x"]
    {
        let image =
            image_with_links(&bench, &json!({ "WorkingDir": folder, "Volumes": { folder: {} } }));
        for flags in [&[][..], &["--init"], &["-u", "5:5"]] {
            let called = bench
                .keel(&[&["run", "--rm"], flags, &[&image, "prober", "cwd", &outside]].concat());
            bench.witness.kept_from(&called.stdout);
            assert!(called.code != 0 || called.stdout.contains("done cwd"), "{folder}: {called:?}");
            assert!(!called.stdout.contains("unreachable"), "{folder}: {called:?}");
        }
        bench.witness.holds();
    }
    bench.finish(&[]);
}

/// CVE-2021-30465: `/v/a` is a folder, then a link to the host's tree, then a folder again, while
/// another container mounts something on `/v/a/b`.
#[test]
fn an_exchanged_folder_leads_nowhere() {
    let bench = Bench::new();
    let rounds = if std::env::var_os("KEEL_RACES").is_some() { 200 } else { 4 };
    let outside = bench.witness.empty_folder().display().to_string();
    bench.idle("racer", &["-v", "raced:/v"]);
    let folder = bench.witness.empty_folder();
    let parent = folder.parent().unwrap().display();
    for (number, to) in
        ["/".to_owned(), parent.to_string(), "/proc/self/fd/5/..".into(), "/proc/sys/kernel".into()]
            .into_iter()
            .enumerate()
    {
        let make = format!(
            "cd /v; rm -rf a{number} l{number}; mkdir -p a{number}/b; ln -s {to} l{number}"
        );
        bench.exec(&[], "racer", &["sh", "-c", &make]).ok();
        let (a, l) = (format!("/v/a{number}"), format!("/v/l{number}"));
        let seconds = (rounds * 6).to_string();
        let racer = bench.beside("racer", &["prober", "exchange", &a, &l, &seconds]);
        for _ in 0..rounds {
            for flags in [
                vec!["-v".to_owned(), format!("other:{a}/folder")],
                vec![format!("--tmpfs={a}/folder/deep")],
                vec!["-w".to_owned(), format!("{a}/folder"), "-t".to_owned()],
                vec!["-v".to_owned(), format!("other:{a}/b"), "--init".to_owned()],
            ] {
                let mut all = vec!["-v", "raced:/v", "--network", "none"];
                all.extend(flags.iter().map(String::as_str));
                let called = bench.run(&all, &["prober", "cwd", &outside]);
                assert!(!called.stdout.contains("unreachable"), "{flags:?}: {called:?}");
            }
        }
        racer.kill();
        bench.witness.holds();
    }
    bench.keel(&["rm", "-f", "racer"]).ok();
    bench.keel(&["volume", "rm", "raced"]).ok();
    bench.keel(&["volume", "rm", "other"]).ok();
    bench.finish(&[]);
}
