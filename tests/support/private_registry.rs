//! A host whose registry lets in one user, ann.

use super::{Called, Host};
use std::fs;

impl Host {
    /// A host with such a registry, and with a login of its own for nothing yet.
    #[track_caller]
    pub fn with_users(password: &str) -> Self {
        let mut host = Self::new();
        host.stop_registry();
        let users = host.path("users").display().to_string();
        let open = fs::read_to_string(host.path("registry.yml")).expect("it has been written");
        let auth = format!("auth: {{ htpasswd: {{ realm: trial, path: {users} }} }}\n");
        host.write("registry.yml", &(open + &auth));
        host.set_password(password);
        host.start_registry();
        host.with_own_logins()
    }

    /// The same host, whose `config.json` is in the test's folder.
    pub fn with_own_logins(mut self) -> Self {
        let docker = self.path("docker").display().to_string();
        self.environment.push(("DOCKER_CONFIG".into(), docker));
        self
    }

    /// What ann logs in with from now on; the registry reads it when it is asked next.
    #[track_caller]
    pub fn set_password(&self, password: &str) {
        self.sh(&format!("htpasswd -Bbc users ann {password} 2>/dev/null"));
    }

    /// `keel login`, with these arguments and this password on its input.
    pub fn login(&self, password: &str, arguments: &str) -> Called {
        let keel = env!("CARGO_BIN_EXE_keel");
        let script = format!("printf '%s\\n' '{password}' | {keel} login {arguments}");
        Called::from(self.command("sh").args(["-c", &script]).output().expect("sh runs"))
    }
}
