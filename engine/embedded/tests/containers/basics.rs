//! What runs, as whom, with what around it.

use crate::Test;
use crate::lab::{Lab, shell};
use keel_embedded::runtime::HostMount;
use keel_engine::{Digest, ExitCause, FileMount, TaskSpec, Tmpfs};
use std::fs;

pub const TESTS: &[Test] = &[
    ("a_run_ends_with_its_code", a_run_ends_with_its_code),
    ("what_cannot_start_says_why", what_cannot_start_says_why),
    ("environment_and_folder", environment_and_folder),
    ("users_come_from_the_containers_files", users_come_from_the_containers_files),
    ("a_read_only_root", a_read_only_root),
    ("file_systems", file_systems),
    ("an_init_reaps_and_forwards", an_init_reaps_and_forwards),
];

fn a_run_ends_with_its_code(lab: &Lab) {
    let task = lab.shell("echo out; echo err >&2; printf rest; exit 3").launch();
    let state = task.end();
    assert_eq!((state.exit_code, state.exit_cause), (Some(3), Some(ExitCause::Own)));
    assert!(state.started <= state.finished && state.process.is_none());
    let log = fs::read_to_string(task.dir.log()).unwrap();
    for line in [" stdout F out\n", " stderr F err\n", " stdout P rest\n"] {
        assert!(log.contains(line), "{log}");
    }
    assert_eq!(lab.shell("true").launch().end().exit_code, Some(0));
}

fn what_cannot_start_says_why(lab: &Lab) {
    let cases = [
        (vec!["nope"], 127, "exec: \"nope\": executable file not found in $PATH"),
        (vec!["/nope"], 127, "exec: \"/nope\": no such file or directory"),
        (vec!["/bin/plain"], 126, "exec: \"/bin/plain\": permission denied"),
        (vec!["/etc"], 126, "exec: \"/etc\": is a directory"),
    ];
    for (command, code, message) in cases {
        let command = command.into_iter().map(str::to_owned).collect();
        let spec = TaskSpec { command: Some(command), ..TaskSpec::default() };
        let state = lab.task(spec).launch().end();
        assert_eq!(
            (state.exit_code, state.message.map(|why| why.to_string())),
            (Some(code), Some(message.to_owned()))
        );
    }
    let state = lab.shell("true").spec(|spec| spec.user = Some("who".into())).launch().end();
    let message = "unable to find user who: no matching entries in passwd file";
    assert_eq!(state.message.map(|why| why.to_string()).as_deref(), Some(message));
}

fn environment_and_folder(lab: &Lab) {
    let mut task =
        lab.shell("echo $A-$B-$GONE; echo $HOME; pwd; hostname; echo $PATH; cat /etc/hosts");
    task.image.env = vec!["A=image".into(), "B=image".into(), "GONE=x".into()];
    task.image.working_dir = Some("/made/here".into());
    let task = task.spec(|spec| {
        spec.environment.insert("B".into(), Some("own".into()));
        spec.environment.insert("GONE".into(), None);
        spec.hostname = Some("box".into());
    });
    let task = task.launch();
    task.end();
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let expected = format!("image-own-\n/root\n/made/here\nbox\n{path}\n127.0.0.1 localhost\n");
    assert_eq!(task.output(), expected);
}

fn users_come_from_the_containers_files(lab: &Lab) {
    let user = |user: &str| {
        let task = lab.shell("id; echo $HOME; echo x > /dev/stdout").spec(|spec| {
            spec.user = Some(user.into());
            spec.group_add = vec!["7".into()];
        });
        let task = task.launch();
        task.end();
        task.output()
    };
    let web = user("web");
    assert!(web.starts_with("uid=101(web) gid=102(web) groups=7,102(web),200(logs)"), "{web}");
    assert!(web.ends_with("/srv/web\nx\n"), "{web}");
    assert!(user("5:6").starts_with("uid=5 gid=6 groups=6,7"), "{}", user("5:6"));
}

fn a_read_only_root(lab: &Lab) {
    let task =
        lab.shell("exec 2>&1; touch /x; touch /tmp/y && echo made; touch /dev/shm/z && echo shm");
    let task = task.spec(|spec| {
        spec.read_only = true;
        spec.tmpfs = vec![Tmpfs { target: "/tmp".into(), ..Tmpfs::default() }];
    });
    let task = task.launch();
    task.end();
    assert_eq!(task.output(), "touch: /x: Read-only file system\nmade\nshm\n");
}

fn file_systems(lab: &Lab) {
    let volume = lab.path("volume");
    fs::create_dir_all(&volume).unwrap();
    fs::write(volume.join("old"), "kept\n").unwrap();
    let content = b"for your eyes only\n";
    let digest = Digest::of(content);
    fs::write(lab.layout.secrets().join(digest.hex()), content).unwrap();
    let mut task = lab.shell(
        "exec 2>&1; cat /data/old; echo new > /data/new; touch /frozen/x; ls -ln /run/secrets/key; \
         cat /run/secrets/key; echo more >> /run/secrets/key; stat -c %a /scratch; \
         df -k /scratch | tail -n 1; mount | grep -c secrets",
    );
    let mount = |target: &str, read_only| HostMount {
        beneath: None,
        source: volume.clone(),
        target: target.into(),
        read_only,
        propagation: None,
    };
    task.mounts = vec![mount("/data", false), mount("/frozen", true)];
    let task = task.spec(|spec| {
        let target = "/run/secrets/key".to_owned();
        let (uid, gid, mode) = (101, 102, Some(0o440));
        spec.secrets = vec![FileMount { name: "key".into(), digest, target, uid, gid, mode }];
        let (size, mode) = (Some(1 << 20), Some(0o700));
        spec.tmpfs = vec![Tmpfs { target: "/scratch".into(), size, mode, options: vec![] }];
    });
    let task = task.launch();
    task.end();
    let output = task.output();
    assert_eq!(fs::read_to_string(volume.join("new")).unwrap(), "new\n");
    assert!(output.starts_with("kept\ntouch: /frozen/x: Read-only file system\n"), "{output}");
    assert!(output.contains("-r--r-----    1 101      102"), "{output}");
    assert!(output.contains("for your eyes only\nsh: can't create /run/secrets/key"), "{output}");
    assert!(output.contains("700\ntmpfs                     1024"), "{output}");
    assert!(!fs::exists(volume.join("x")).unwrap());
}

fn an_init_reaps_and_forwards(lab: &Lab) {
    let script = "trap 'echo got it; exit 7' TERM; ps -o pid,args | grep -c docker-init; \
                  (sleep 0 &); echo ready; while true; do sleep 1; done";
    let mut task = lab.task(TaskSpec { init: true, ..shell(script) }).launch();
    task.says("ready");
    assert_eq!(task.sh("readlink /proc/1/exe").1.trim(), "/sbin/docker-init");
    task.goal(keel_engine::Goal::Stopped);
    let state = task.end();
    assert_eq!((state.exit_code, state.exit_cause), (Some(7), Some(ExitCause::Stopped)));
    task.says("got it");
    assert_eq!(
        lab.task(TaskSpec { init: true, ..shell("exit 5") }).launch().end().exit_code,
        Some(5)
    );
}
