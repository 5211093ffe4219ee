//! What a container may not do, or see.

use crate::Test;
use crate::lab::Lab;
use keel_engine::{Device, NetworkMode, Ulimit};
use std::fs;

pub const TESTS: &[Test] = &[
    ("capabilities_are_dockers", capabilities_are_dockers),
    ("system_calls_are_filtered", system_calls_are_filtered),
    ("kernel_files_are_hidden", kernel_files_are_hidden),
    ("namespaces_are_its_own", namespaces_are_its_own),
    ("devices_are_the_usual_ones", devices_are_the_usual_ones),
    ("privileged_is_privileged", privileged_is_privileged),
    ("no_way_out_of_the_root", no_way_out_of_the_root),
    ("sysctls_and_ulimits", sysctls_and_ulimits),
    ("no_descriptor_leaks", no_descriptor_leaks),
    ("this_program_cannot_be_overwritten", this_program_cannot_be_overwritten),
];

fn said(task: crate::lab::Task<'_>) -> String {
    let task = task.launch();
    let state = task.end();
    assert_eq!(state.message, None, "{state:#?}");
    task.output()
}

fn capabilities_are_dockers(lab: &Lab) {
    let script = "grep -E 'Cap(Inh|Prm|Eff|Bnd|Amb)|NoNewPrivs' /proc/self/status";
    let sets = |text: &str| -> Vec<String> {
        let words = text.lines().map(|line| line.split_whitespace().nth(1).unwrap());
        words.map(|word| word.trim_start_matches('0').to_owned()).collect()
    };
    let root = sets(&said(lab.shell(script)));
    assert_eq!(root, ["", "a80425fb", "a80425fb", "a80425fb", "", ""]);
    let web = sets(&said(lab.shell(script).spec(|spec| spec.user = Some("web".into()))));
    assert_eq!(web, ["", "", "", "a80425fb", "", ""]);
    let tight = sets(&said(lab.shell(script).spec(|spec| {
        spec.cap_drop.insert("ALL".into());
        spec.cap_add.insert("NET_ADMIN".into());
        spec.security_opt = vec!["no-new-privileges:true".into()];
    })));
    assert_eq!(tight, ["", "1000", "1000", "1000", "", "1"]);
}

fn system_calls_are_filtered(lab: &Lab) {
    let script =
        "grep -E '^Seccomp:' /proc/self/status; mount -t tmpfs x /tmp 2>&1; unshare -m true 2>&1";
    let filtered = said(lab.shell(script));
    assert!(filtered.starts_with("Seccomp:\t2\n"), "{filtered}");
    assert!(filtered.contains("mount: permission denied"), "{filtered}");
    assert!(filtered.contains("unshare: unshare(0x20000): Operation not permitted"), "{filtered}");
    let open = said(lab.shell(script).spec(|spec| {
        spec.security_opt = vec!["seccomp=unconfined".into()];
    }));
    assert!(open.starts_with("Seccomp:\t0\n"), "{open}");
    let own = r#"seccomp={"defaultAction":"SCMP_ACT_ALLOW","syscalls":[
        {"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":95}]}"#;
    let own = said(lab.shell("mkdir /x 2>&1; ls / > /dev/null && echo fine").spec(|spec| {
        spec.security_opt = vec![own.into()];
    }));
    assert_eq!(own, "mkdir: can't create directory '/x': Operation not supported\nfine\n");
}

fn kernel_files_are_hidden(lab: &Lab) {
    let masked = [
        "/proc/interrupts",
        "/proc/kcore",
        "/proc/keys",
        "/proc/timer_list",
        "/proc/acpi",
        "/proc/scsi",
        "/sys/firmware",
        "/sys/devices/virtual/powercap",
    ];
    let masked: Vec<_> = masked.into_iter().filter(|path| fs::exists(path).unwrap()).collect();
    assert!(masked.len() > 1);
    let script = format!(
        "for path in {}; do if test -d $path; then ls -A $path; else cat $path; fi; done; echo hidden",
        masked.join(" ")
    );
    assert_eq!(said(lab.shell(&script)), "hidden\n");
    let frozen = [
        "/proc/sys/kernel/panic",
        "/proc/irq/default_smp_affinity",
        "/sys/kernel/profiling",
        "/sys/fs/cgroup/x",
    ];
    for path in frozen {
        let output = said(lab.shell(&format!("(echo 1 > {path}) 2>&1")));
        assert_eq!(output, format!("sh: can't create {path}: Read-only file system\n"));
    }
}

fn namespaces_are_its_own(lab: &Lab) {
    let kinds = ["mnt", "pid", "uts", "ipc", "net", "cgroup"];
    let script = "for n in mnt pid uts ipc net cgroup; do readlink /proc/self/ns/$n; done; echo $$; \
                  cat /proc/self/cgroup | grep -vc ':/$'; ip -o addr show dev lo | head -n 1";
    let output = said(lab.shell(script));
    let lines: Vec<_> = output.lines().collect();
    for (kind, inside) in kinds.iter().zip(&lines) {
        let host = fs::read_link(format!("/proc/self/ns/{kind}")).unwrap();
        assert_ne!(host.to_str().unwrap(), *inside);
    }
    assert_eq!(lines[6], "1");
    assert!(lines[8].contains("inet 127.0.0.1/8"), "{output}");
    let mut task = lab.shell("readlink /proc/self/ns/net").spec(|spec| {
        spec.network_mode = NetworkMode::Host;
    });
    task.network = keel_embedded::shim::Network::Host;
    let host = fs::read_link("/proc/self/ns/net").unwrap();
    assert_eq!(said(task).trim(), host.to_str().unwrap());
}

fn devices_are_the_usual_ones(lab: &Lab) {
    let script = "exec 2>&1; ls /dev; echo x > /dev/null && head -c 4 /dev/zero | wc -c; \
                  mknod /tmp/disk b 254 0 && head -c 1 /tmp/disk; mknod /tmp/kmsg c 1 11; \
                  head -c 1 /tmp/kmsg";
    let output = said(lab.shell(script));
    let names = "core\nfd\nfull\nmqueue\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\n\
                 tty\nurandom\nzero\n4\n";
    assert!(output.starts_with(names), "{output}");
    assert!(output.contains("head: /tmp/disk: Operation not permitted"), "{output}");
    assert!(output.contains("head: /tmp/kmsg: Operation not permitted"), "{output}");
    let device = Device {
        source: "/dev/kmsg".into(),
        target: "/dev/log/kernel".into(),
        permissions: "r".into(),
    };
    let task = lab.shell("exec 2>&1; stat -c '%F %t:%T' /dev/log/kernel; \
                          dd if=/dev/log/kernel of=/dev/null count=1 bs=8192 status=none && echo read; \
                          (echo x > /dev/log/kernel)");
    let output = said(task.spec(|spec| {
        spec.devices = vec![device];
        spec.cap_add.insert("SYSLOG".into());
    }));
    assert!(output.contains("character special file 1:b\nread\n"), "{output}");
    assert!(output.contains("Operation not permitted"), "{output}");
}

fn privileged_is_privileged(lab: &Lab) {
    let script = "grep -E 'CapEff|Seccomp:' /proc/self/status; mount -t tmpfs x /tmp && echo mounted; \
                  ls /dev/kmsg; (cat /proc/sys/kernel/panic > /proc/sys/kernel/panic) && echo wrote";
    let output = said(lab.shell(script).spec(|spec| spec.privileged = true));
    assert!(output.ends_with("Seccomp:\t0\nmounted\n/dev/kmsg\nwrote\n"), "{output}");
    assert!(!output.contains("a80425fb"), "{output}");
}

fn no_way_out_of_the_root(lab: &Lab) {
    // Mount points that are links to places outside lead to places inside.
    let outside = lab.path("outside");
    fs::create_dir_all(&outside).unwrap();
    let mut task = lab.shell("cat /link/mine; ls /");
    let volume = lab.path("mine");
    fs::create_dir_all(&volume).unwrap();
    fs::write(volume.join("mine"), "inside\n").unwrap();
    let upper = task.dir.upper();
    fs::create_dir_all(upper.join("target")).unwrap();
    std::os::unix::fs::symlink("../../../../target", upper.join("link")).unwrap();
    task.mounts = vec![keel_embedded::runtime::HostMount {
        beneath: None,
        source: volume,
        target: "/link".into(),
        read_only: false,
        propagation: None,
    }];
    let output = said(task);
    assert!(output.starts_with("inside\n"), "{output}");
    assert_eq!(fs::read_dir(outside).unwrap().count(), 0);
}

fn sysctls_and_ulimits(lab: &Lab) {
    let task = lab.shell(
        "cat /proc/sys/net/core/somaxconn /proc/sys/net/ipv4/ip_unprivileged_port_start; \
                          ulimit -n; ulimit -Hn",
    );
    let task = task.spec(|spec| {
        spec.sysctls.insert("net.core.somaxconn".into(), "77".into());
        spec.ulimits.insert("nofile".into(), Ulimit { soft: 50, hard: 60 });
    });
    assert_eq!(said(task), "77\n0\n50\n60\n");
    let task = lab.shell("ulimit -Hn").spec(|spec| {
        spec.ulimits.insert("nofile".into(), Ulimit { soft: 1 << 30, hard: 1 << 30 });
    });
    let task = task.launch();
    let state = task.end();
    // Either this machine grants it, or says what it gives instead.
    if state.exit_code != Some(0) || task.output().trim() != (1 << 30).to_string() {
        assert!(task.warnings[0].starts_with("ulimit nofile: the hard limit"), "{state:#?}");
        assert_eq!(state.exit_code, Some(0));
    }
}

fn no_descriptor_leaks(lab: &Lab) {
    let output = said(lab.shell("ls /proc/self/fd; readlink /proc/1/cwd; readlink /proc/1/root"));
    // The fourth is the folder that ls reads.
    assert_eq!(output, "0\n1\n2\n3\n/\n/\n");
}

fn this_program_cannot_be_overwritten(lab: &Lab) {
    let own = std::env::current_exe().unwrap();
    let before = fs::metadata(&own).unwrap();
    // The container's program is this one for a moment, through a script's first line.
    let mut task = lab.task(keel_engine::TaskSpec {
        command: Some(vec!["/evil".into()]),
        ..keel_engine::TaskSpec::default()
    });
    let script = task.dir.upper().join("evil");
    fs::create_dir_all(task.dir.upper()).unwrap();
    fs::write(&script, "#!/proc/self/exe\n").unwrap();
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    task.network = keel_embedded::shim::Network::New;
    let task = task.launch();
    task.end();
    // And what a shim is cannot be written through.
    let shim = lab.shell("sleep 1000").launch();
    let state = shim.running();
    let exe = format!("/proc/{}/exe", state.shim.unwrap().pid);
    let opened = fs::OpenOptions::new().write(true).open(exe).unwrap_err();
    assert_eq!(opened.raw_os_error(), Some(libc::EROFS), "{opened}");
    assert_eq!(before.modified().unwrap(), fs::metadata(&own).unwrap().modified().unwrap());
}
