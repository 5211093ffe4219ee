//! What somebody who may push, and wants root on the host, would write.

use super::*;
use crate::files::Memory;
use crate::{Code, Loaded, Project, load};

/// A repository at `/repo`, whose stack is in `/repo/app`.
fn said(text: &str, words: &[Permission]) -> Loaded {
    let permits = Permits {
        source: "home".into(),
        base: "/repo".into(),
        words: words.iter().copied().collect(),
    };
    let files = Memory::default()
        .with("/repo/app/compose.yaml", text)
        .with("/repo/common/x.env", "A=1")
        .with("/repo/app/c", "a config")
        .with("/etc/shadow", "canary")
        .with("/etc/base.yaml", "services: {x: {image: a:1}}")
        .with("/etc/.env", "A=1");
    let mut project = Project::new("/repo/app");
    project.permits = Some(permits);
    load(&project, &files)
}

/// What is refused without the permission, and nothing else; with it, nothing is.
#[track_caller]
fn needs(text: &str, wanted: Option<Permission>) {
    let refused = |words: &[Permission]| -> Vec<String> {
        let problems = said(text, words).problems;
        let refused = problems.into_iter().filter(|problem| problem.code == Code::NotAllowed);
        refused
            .map(|problem| {
                assert!(problem.span.is_some(), "{problem:?}");
                problem.hint.unwrap_or_default()
            })
            .collect()
    };
    let Some(wanted) = wanted else {
        assert_eq!(refused(&[]), [] as [&str; 0], "{text}");
        return;
    };
    let none = refused(&[]);
    assert!(!none.is_empty(), "nothing is refused in\n{text}");
    assert!(none.iter().all(|hint| hint.contains(&format!("`{wanted}`"))), "{none:?} in\n{text}");
    assert_eq!(refused(&[wanted]), [] as [&str; 0], "{text}");
    let others: Vec<_> = Permission::ALL.map(|(_, other)| other).into_iter().collect();
    let others: Vec<_> = others.into_iter().filter(|other| *other != wanted).collect();
    assert_eq!(refused(&others).len(), none.len(), "no other word permits\n{text}");
}

fn of_service(keys: &str) -> String {
    format!("services:\n  web:\n    image: nginx:1.29\n    {keys}\n")
}

#[test]
fn keys_of_a_service() {
    use Permission::*;
    let cases = [
        ("privileged: true", Some(Privileged)),
        ("privileged: 'yes'", Some(Privileged)),
        ("privileged: false", None),
        ("cap_add: [SYS_ADMIN]", Some(Capabilities)),
        ("cap_add: [cap_net_admin]", Some(Capabilities)),
        ("cap_add: [ALL]", Some(Capabilities)),
        ("cap_add: [NET_BIND_SERVICE, cap_chown]", None),
        ("cap_drop: [ALL]", None),
        ("devices: ['/dev/sda:/dev/sda']", Some(Devices)),
        ("devices: [{source: /dev/kvm, target: /dev/kvm}]", Some(Devices)),
        ("device_cgroup_rules: ['b *:* rwm']", Some(Devices)),
        ("gpus: all", Some(Devices)),
        ("gpus: [{driver: nvidia}]", Some(Devices)),
        ("deploy: {resources: {reservations: {devices: [{capabilities: [gpu]}]}}}", Some(Devices)),
        ("deploy: {resources: {reservations: {generic_resources: [{}]}}}", Some(Devices)),
        ("volumes: ['/:/host']", Some(HostPaths)),
        ("volumes: ['/repo/app/data:/data']", Some(HostPaths)),
        ("volumes: ['~/:/host']", Some(HostPaths)),
        ("volumes: ['~:/host']", Some(HostPaths)),
        ("volumes: ['../../etc:/host:ro']", Some(HostPaths)),
        ("volumes: ['./a/../../../etc:/host']", Some(HostPaths)),
        ("volumes: ['C:\\x:/host']", Some(HostPaths)),
        ("volumes: ['/var/run/docker.sock:/s']", Some(HostPaths)),
        ("volumes: [{type: bind, source: /, target: /host}]", Some(HostPaths)),
        ("volumes: [{type: bind, source: ../../x, target: /host}]", Some(HostPaths)),
        ("volumes: [{type: npipe, source: x, target: /host}]", Some(HostPaths)),
        ("volumes: ['./data:/data:rshared']", Some(HostPaths)),
        (
            "volumes: [{type: bind, source: ./d, target: /d, bind: {propagation: shared}}]",
            Some(HostPaths),
        ),
        ("volumes: [./data:/data, ../common:/common:ro, /anonymous]", None),
        ("volumes: [{type: bind, source: data, target: /data}]", None),
        ("volumes: ['./data:/proc']", Some(Privileged)),
        ("volumes: ['./data:/proc/self/attr']", Some(Privileged)),
        ("volumes: ['./data:/x/../sys/kernel']", Some(Privileged)),
        ("volumes: [{type: tmpfs, target: /dev}]", Some(Privileged)),
        ("tmpfs: /proc", Some(Privileged)),
        ("tmpfs: ['/tmp', '/sys/fs:mode=755']", Some(Privileged)),
        ("tmpfs: ['/tmp:exec,suid', /dev/shm, /process]", None),
        ("volumes_from: ['container:other']", Some(HostPaths)),
        ("network_mode: host", Some(HostNetwork)),
        ("network_mode: 'container:other'", Some(HostNetwork)),
        ("network_mode: none", None),
        ("network_mode: bridge", None),
        ("external_links: [other]", Some(HostNetwork)),
        ("pid: host", Some(HostPid)),
        ("pid: 'container:other'", Some(HostPid)),
        ("ipc: host", Some(HostPid)),
        ("ipc: shareable", None),
        ("uts: host", Some(HostPid)),
        ("cgroup: host", Some(HostPid)),
        ("cgroup: private", None),
        ("cgroup_parent: /", Some(Privileged)),
        ("userns_mode: host", Some(Privileged)),
        ("runtime: runc-of-mine", Some(Privileged)),
        ("use_api_socket: true", Some(Privileged)),
        ("provider: {type: /bin/sh}", Some(Privileged)),
        ("credential_spec: {file: x.json}", Some(HostPaths)),
        ("oom_score_adj: -1000", Some(Privileged)),
        ("oom_score_adj: 500", None),
        ("oom_kill_disable: true", Some(Privileged)),
        ("security_opt: ['seccomp=unconfined']", Some(SecurityOpt)),
        ("security_opt: ['seccomp:unconfined']", Some(SecurityOpt)),
        ("security_opt: ['seccomp=/etc/shadow']", Some(SecurityOpt)),
        ("security_opt: ['apparmor=unconfined']", Some(SecurityOpt)),
        ("security_opt: ['systempaths=unconfined']", Some(SecurityOpt)),
        ("security_opt: ['label=disable']", Some(SecurityOpt)),
        ("security_opt: ['no-new-privileges:true']", None),
        ("security_opt: [no-new-privileges=false]", None),
        ("post_start: [{command: x, privileged: true}]", Some(Privileged)),
        ("pre_stop: [{command: x, privileged: true}]", Some(Privileged)),
        ("pre_start: [{command: x, privileged: true}]", Some(Privileged)),
        ("post_start: [{command: x, user: root}]", None),
        ("build: /etc", Some(HostPaths)),
        ("build: {context: ., dockerfile: ../../Dockerfile}", Some(HostPaths)),
        ("build: {context: ., additional_contexts: {x: /etc}}", Some(HostPaths)),
        ("build: {context: ., cache_to: ['type=local,dest=/etc']}", Some(HostPaths)),
        ("build: {context: ., ssh: [default]}", Some(HostPaths)),
        ("build: {context: ., privileged: true}", Some(Privileged)),
        ("build: {context: ., entitlements: [security.insecure]}", Some(Privileged)),
        ("build: {context: ., network: host}", Some(HostNetwork)),
        ("build: {context: https://example.org/x.git, args: {A: b}}", None),
        ("develop: {watch: [{path: /etc, action: sync, target: /x}]}", Some(HostPaths)),
        ("env_file: /etc/shadow", Some(HostPaths)),
        ("env_file: [{path: ../../etc/shadow, required: false}]", Some(HostPaths)),
        ("env_file: ../common/x.env", None),
        ("label_file: /etc/shadow", Some(HostPaths)),
        ("extends: {file: /etc/base.yaml, service: x}", Some(HostPaths)),
        ("user: root", None),
        ("group_add: [0, docker]", None),
        ("ports: ['80:80', '127.0.0.1:22:22']", None),
        ("labels: {keel.stack: other, com.docker.compose.project: other}", None),
        ("container_name: other-web-1", None),
        ("sysctls: {net.core.somaxconn: 1024}", None),
        ("ulimits: {nofile: 65536}", None),
        ("extra_hosts: ['registry.example.org:127.0.0.1']", None),
        ("x-keel: {run: before-deploy}", None),
    ];
    for (keys, wanted) in cases {
        needs(&of_service(keys), wanted);
    }
}

#[test]
fn keys_of_the_stack() {
    use Permission::*;
    let cases = [
        ("volumes: {d: {driver_opts: {type: none, o: bind, device: /}}}", Some(HostPaths)),
        ("volumes: {d: {driver: rclone}}", Some(HostPaths)),
        ("volumes: {d: {external: true}}", Some(HostPaths)),
        ("volumes: {d: {external: {name: other_kept}}}", Some(HostPaths)),
        ("volumes: {d: {name: other_kept}}", Some(HostPaths)),
        ("volumes: {d: {name: app_kept}, e: , f: {driver: local}}", None),
        ("networks: {n: {driver: macvlan}}", Some(HostNetwork)),
        ("networks: {n: {driver_opts: {parent: eth0}}}", Some(HostNetwork)),
        ("networks: {n: {ipam: {driver: dhcp}}}", Some(HostNetwork)),
        ("networks: {n: {ipam: {config: [{subnet: 140.82.112.0/20}]}}}", Some(HostNetwork)),
        ("networks: {n: {ipam: {config: [{subnet: 169.254.169.0/24}]}}}", Some(HostNetwork)),
        ("networks: {n: {ipam: {config: [{subnet: 10.0.0.0/7}]}}}", Some(HostNetwork)),
        ("networks: {n: {ipam: {config: [{subnet: 172.30.0.0/16}, {subnet: fd00::/64}]}}}", None),
        ("networks: {host: {external: true}}", Some(HostNetwork)),
        ("networks: {n: {external: true, name: host}}", Some(HostNetwork)),
        ("networks: {n: {external: {name: host}}}", Some(HostNetwork)),
        ("networks: {proxy: {external: true}, n: {name: mine, internal: true}}", None),
        ("configs: {c: {file: /etc/shadow}}", Some(HostPaths)),
        ("configs: {c: {file: ../../etc/shadow}}", Some(HostPaths)),
        ("configs: {c: {file: ~/x}}", Some(HostPaths)),
        ("secrets: {c: {file: /etc/shadow}}", Some(HostPaths)),
        ("secrets: {c: {driver: vault}}", Some(HostPaths)),
        ("secrets: {c: {file: ./c}, d: {environment: TOKEN}}", None),
        ("include: [/etc/base.yaml]", Some(HostPaths)),
        ("include: [../../etc/base.yaml]", Some(HostPaths)),
        ("include: [{path: inner.yaml, env_file: /etc/shadow}]", Some(HostPaths)),
        ("include: [{path: inner.yaml, project_directory: /etc}]", Some(HostPaths)),
    ];
    for (keys, wanted) in cases {
        needs(&format!("services: {{web: {{image: 'nginx:1.29'}}}}\n{keys}\n"), wanted);
    }
}

#[test]
fn what_is_mounted_by_its_own_name_covers_the_kernel_too() {
    let granted = |grant: &str| {
        format!(
            "services: {{web: {{image: 'nginx:1.29', configs: [{grant}]}}}}\nconfigs: {{proc: {{content: x}}, c: {{content: x}}}}\n"
        )
    };
    needs(&granted("proc"), Some(Permission::Privileged));
    needs(&granted("{source: c, target: /proc/sysrq-trigger}"), Some(Permission::Privileged));
    needs(&granted("{source: c, target: /etc/x/../../sys/x}"), Some(Permission::Privileged));
    needs(&granted("c"), None);
}

#[test]
fn no_way_of_writing_it_gets_around() {
    use Permission::*;
    let cases = [
        "x-a: &a {privileged: true}\nservices: {web: {image: 'nginx:1.29', <<: *a}}\n",
        "services:\n  base: {image: 'nginx:1.29', privileged: true, profiles: [never]}\n  web: {extends: base, privileged: false}\n",
        "services: {web: {image: 'nginx:1.29', privileged: '${UNSET:-true}'}}\n",
    ];
    for text in cases {
        needs(text, Some(Privileged));
    }
}

#[test]
fn a_refusal_names_the_line_and_the_word() {
    let loaded = said(&of_service("privileged: true"), &[]);
    let problem = loaded.problems.iter().find(|one| one.code == Code::NotAllowed).unwrap();
    assert!(loaded.stack.is_none());
    assert_eq!(
        crate::problem::render(problem, &loaded.texts),
        "error: `privileged` of service `web` needs `privileged`, which source home does not allow \
         its stacks [E0706]\n --> compose.yaml:4:17\n  |\n4 |     privileged: true\n  |                 ^^^^\n\n\
         hint: who runs the host can add `privileged` to `allow` of source home in keel.yaml\n"
    );
}
