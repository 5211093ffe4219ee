//! A real `sshd` of the test's own, and an `ssh` that knows only this one.

use super::write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Ends with the test.
pub struct Sshd(Child);

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A key pair without passphrase.
pub fn keygen(path: &Path) {
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(path)
        .status()
        .unwrap();
    assert!(made.success());
}

/// A port that nobody listens on.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A server that lets in whoever has the test's key, as this user.
pub fn sshd(root: &Path, port: u16) -> Sshd {
    keygen(&root.join("host"));
    keygen(&root.join("user"));
    std::fs::copy(root.join("user.pub"), root.join("authorized")).unwrap();
    let shown = root.display();
    let settings = format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {shown}/host\nPidFile none\n\
         AuthorizedKeysFile {shown}/authorized\nStrictModes no\nUsePAM no\n\
         PermitRootLogin yes\nPasswordAuthentication no\n"
    );
    write(&root.join("sshd_config"), &settings);
    let client = format!(
        "Host *\n IdentityFile {shown}/user\n IdentitiesOnly yes\n \
         StrictHostKeyChecking no\n UserKnownHostsFile /dev/null\n LogLevel ERROR\n"
    );
    write(&root.join("ssh_config"), &client);
    write(
        &root.join("bin/ssh"),
        &format!("#!/bin/sh\nexec /usr/bin/ssh -F {shown}/ssh_config \"$@\"\n"),
    );
    std::fs::set_permissions(root.join("bin/ssh"), PermissionsExt::from_mode(0o755)).unwrap();
    // Where the server drops its privileges to; only a running system makes it.
    std::fs::create_dir_all("/run/sshd").unwrap();
    let child = Command::new("/usr/sbin/sshd")
        .args(["-D", "-e", "-f"])
        .arg(root.join("sshd_config"))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let listens = || std::net::TcpStream::connect(("127.0.0.1", port)).ok();
    keel_testing::waiting::until("sshd listens", listens, String::new);
    Sshd(child)
}
