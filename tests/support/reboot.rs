//! A machine that goes down and comes back.

use super::{Host, until};
use std::fs;
use std::process::Command;

impl Host {
    /// All that a reboot takes away: processes, links, tables, cgroups, sockets. The records then say
    /// another boot.
    pub fn reboot(&self) {
        let root = self.root().to_string_lossy().into_owned();
        let cgroups = self.cgroups().join(" ");
        // Whoever watches goes before what is watched: a machine that goes down is nobody's kill.
        let script = format!(
            "for p in $(grep -l -a -s -F '{root}' /proc/[0-9]*/cmdline | cut -d/ -f3); do \
               tr '\\0' ' ' </proc/$p/cmdline 2>/dev/null | grep -q keel && kill -9 $p 2>/dev/null; done; \
             for f in $(find {cgroups} -name cgroup.procs); do kill -9 $(cat $f) 2>/dev/null; done; true"
        );
        Command::new("sh").args(["-c", &script]).status().expect("sh runs");
        let gone =
            || self.leftovers().iter().all(|line| !line.starts_with("process")).then_some(());
        until("no process is left", gone, || self.leftovers().join("\n"));
        self.sh("for l in $(ip -o link | grep -o 'kl[0-9a-f-]*' | sort -u); do ip link del $l; done; nft flush ruleset");
        for cgroup in self.cgroups() {
            Command::new("find")
                .args([&cgroup, "-depth", "-type", "d", "-delete"])
                .status()
                .expect("find runs");
        }
        fs::remove_dir_all(self.root().join("run")).ok();
        // It may be a file system of its own.
        Command::new("umount").arg(self.secrets()).output().expect("umount runs");
        fs::remove_dir_all(self.secrets()).ok();
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("it has an id");
        let entries =
            |folder: &str| fs::read_dir(self.root().join(folder)).expect("it is there").flatten();
        let of_tasks =
            entries("tasks").flat_map(|task| ["state", "work"].map(|n| task.path().join(n)));
        for path in of_tasks.chain(entries("networks").map(|network| network.path())) {
            if let Ok(text) = fs::read_to_string(&path) {
                fs::write(&path, text.replace(boot.trim(), "00000000-0000-0000-0000-000000000000"))
                    .expect("it is written");
            }
        }
    }
}
