//! Who we are at a registry: Docker's `config.json`, its credential helpers, and `login`.
//!
//! # Invariants
//! - The file is read anew for each pull, so that a login counts at once.
//! - Writing keeps every field that is not understood, and the file is never readable by others.
//! - Secrets appear in no error and no `Debug` output.
//! - A login that was lent is in memory only, and takes precedence over the file's.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use keel_durable::Hold;
use keel_engine::Login;
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use crate::error::{Error, Result};
use keel_names::reference::DOCKER_HUB;

/// The key under which Docker files its own registry.
const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";

/// Some ask a server for a token; one that waits for a person would hold up what waits for it for ever.
const HELPER: Duration = Duration::from_secs(20);

/// Where logins are found.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    file: Option<PathBuf>,
    /// For one registry.
    lent: Option<(String, Login)>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ConfigJson {
    auths: std::collections::BTreeMap<String, Auth>,
    #[serde(rename = "credHelpers")]
    helpers: std::collections::BTreeMap<String, String>,
    #[serde(rename = "credsStore")]
    store: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Auth {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HelperAnswer {
    username: String,
    secret: String,
}

impl Credentials {
    /// Nobody: only what registries give to everyone.
    pub fn none() -> Self {
        Self::default()
    }

    /// Those in a `config.json` of Docker's form; the file need not exist.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self { file: Some(path.into()), lent: None }
    }

    /// The same, but for this registry as somebody else.
    #[must_use]
    pub fn lent(&self, registry: &str, login: Login) -> Self {
        Self { lent: Some((registry.to_owned(), login)), ..self.clone() }
    }

    /// The login for a registry: by its helper, by the general store, or from the file itself.
    pub async fn find(&self, registry: &str) -> Result<Option<Login>> {
        if let Some((_, login)) = self.lent.iter().find(|(name, _)| name == registry) {
            return Ok(Some(login.clone()));
        }
        let Some(path) = &self.file else { return Ok(None) };
        let path = path.clone();
        let Some(config) = keel_blocking::run(move || read_config(&path)).await? else {
            return Ok(None);
        };
        let helper = spellings(registry).iter().find_map(|key| config.helpers.get(key)).cloned();
        if let Some(helper) = helper.as_ref().or(config.store.as_ref())
            && let Some(login) = ask_helper(helper, registry).await?
        {
            return Ok(Some(login));
        }
        Ok(spellings(registry).iter().find_map(|key| config.auths.get(key)).and_then(Auth::login))
    }

    /// Keeps a login in the file, beside whatever else is there.
    pub fn store(&self, registry: &str, user: &str, password: &str) -> Result<()> {
        let Some(path) = &self.file else { return Ok(()) };
        let auth = STANDARD.encode(format!("{user}:{password}"));
        edit(path, |auths| {
            auths.insert(filed_under(registry), serde_json::json!({ "auth": auth }));
        })
    }

    /// Forgets the login for a registry; whether there was one.
    pub fn forget(&self, registry: &str) -> Result<bool> {
        let Some(path) = &self.file else { return Ok(false) };
        let mut found = false;
        edit(path, |auths| {
            for key in spellings(registry) {
                found |= auths.remove(&key).is_some();
            }
        })?;
        Ok(found)
    }
}

impl Auth {
    fn login(&self) -> Option<Login> {
        if !self.identitytoken.is_empty() {
            return Some(Login::IdentityToken(self.identitytoken.clone()));
        }
        let (user, password) = match decode(&self.auth) {
            Some(pair) => pair,
            None => (self.username.clone(), self.password.clone()),
        };
        (!user.is_empty()).then_some(Login::Password { user, password })
    }
}

/// `base64(user:password)`, with or without padding; Docker pads some with zero bytes.
fn decode(auth: &str) -> Option<(String, String)> {
    let bytes = STANDARD.decode(auth).or_else(|_| STANDARD_NO_PAD.decode(auth)).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.trim_end_matches('\0').to_owned()))
}

fn filed_under(registry: &str) -> String {
    match registry {
        DOCKER_HUB => DOCKER_HUB_KEY.to_owned(),
        other => other.to_owned(),
    }
}

/// The keys that people and tools have used for one registry.
fn spellings(registry: &str) -> Vec<String> {
    let mut keys = vec![filed_under(registry)];
    let hosts: &[&str] = match registry {
        DOCKER_HUB => &[DOCKER_HUB, "index.docker.io", "registry-1.docker.io"],
        _ => &[registry],
    };
    for host in hosts {
        keys.push((*host).to_owned());
        for scheme in ["https", "http"] {
            for path in ["", "/", "/v1/", "/v2/"] {
                keys.push(format!("{scheme}://{host}{path}"));
            }
        }
    }
    keys
}

/// Speaks the protocol of `docker-credential-X get`: the server in, JSON out.
async fn ask_helper(helper: &str, registry: &str) -> Result<Option<Login>> {
    let late = |_| Error::Helper {
        helper: format!("docker-credential-{helper}"),
        registry: registry.to_owned(),
        detail: format!("no answer within {} s", HELPER.as_secs()),
    };
    timeout(HELPER, run_helper(helper, registry)).await.map_err(late)?
}

async fn run_helper(helper: &str, registry: &str) -> Result<Option<Login>> {
    let program = format!("docker-credential-{helper}");
    let failed = |detail: String| Error::Helper {
        helper: program.clone(),
        registry: registry.to_owned(),
        detail,
    };
    if !is_helper(helper) {
        let why = "a helper's name is of letters, digits, `-`, `_` and `.`, and is not a path";
        return Err(failed(why.to_owned()));
    }
    let mut child = tokio::process::Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let mut stdin = child.stdin.take().expect("it was asked to be a pipe");
    // A helper that ends without reading says why in its output, which is read below.
    let _ = stdin.write_all(filed_under(registry).as_bytes()).await;
    drop(stdin);
    let output = child.wait_with_output().await.map_err(|error| failed(error.to_string()))?;
    let said = String::from_utf8_lossy(&output.stdout);
    if said.contains("credentials not found") {
        return Ok(None);
    }
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        return Err(failed(format!("{} {}", said.trim(), errors.trim()).trim().to_owned()));
    }
    let answer: HelperAnswer = serde_json::from_slice(&output.stdout)
        .map_err(|_| failed("its answer is not the JSON it should be".into()))?;
    Ok(Some(match answer.username.as_str() {
        "<token>" => Login::IdentityToken(answer.secret),
        _ => Login::Password { user: answer.username, password: answer.secret },
    }))
}

/// A word that names a program on the search path: a path would run any file.
fn is_helper(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    name.bytes().all(letter) && name.starts_with(|first: char| first.is_ascii_alphanumeric())
}

fn read_if_exists(path: &Path) -> Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read", path)(error)),
    }
}

fn read_config(path: &Path) -> Result<Option<ConfigJson>> {
    let Some(text) = read_if_exists(path)? else { return Ok(None) };
    let json = |source| Error::Json { path: path.to_owned(), source };
    serde_json::from_str(&text).map(Some).map_err(json)
}

/// Changes `auths` in the file and replaces it in one step.
fn edit(path: &Path, change: impl FnOnce(&mut Map<String, Value>)) -> Result<()> {
    let text = read_if_exists(path)?.unwrap_or_else(|| "{}".into());
    let json = |source| Error::Json { path: path.to_owned(), source };
    let mut config: Map<String, Value> = serde_json::from_str(&text).map_err(json)?;
    let auths = config.entry("auths").or_insert_with(|| Value::Object(Map::new()));
    if !auths.is_object() {
        *auths = Value::Object(Map::new());
    }
    change(auths.as_object_mut().expect("it was just made one"));
    let text = serde_json::to_string_pretty(&config).map_err(json)?;
    replace(path, text.as_bytes()).map_err(Error::io("write", path))
}

fn replace(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    std::fs::create_dir_all(folder.unwrap_or(Path::new(".")))?;
    keel_durable::replace(path, content, 0o600, Hold::Either)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn password(user: &str, password: &str) -> Login {
        Login::Password { user: user.into(), password: password.into() }
    }

    async fn found(config: &str, registry: &str) -> Option<Login> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        std::fs::write(&path, config).unwrap();
        Credentials::file(path).find(registry).await.unwrap()
    }

    #[tokio::test]
    async fn logins_are_found_however_they_were_filed() {
        let auth = STANDARD.encode("me:se:cret");
        let filed = |key: &str| format!(r#"{{"auths":{{"{key}":{{"auth":"{auth}"}}}}}}"#);
        let cases = [
            (filed("ghcr.io"), "ghcr.io", true),
            (filed("https://ghcr.io/v1/"), "ghcr.io", true),
            (filed("https://index.docker.io/v1/"), "docker.io", true),
            (filed("docker.io"), "docker.io", true),
            (filed("ghcr.io"), "docker.io", false),
            ("{}".to_owned(), "docker.io", false),
        ];
        for (config, registry, known) in cases {
            let expected = known.then(|| password("me", "se:cret"));
            assert_eq!(found(&config, registry).await, expected, "{config}");
        }
        let token = r#"{"auths":{"r.io":{"auth":"","identitytoken":"t"}}}"#;
        assert_eq!(found(token, "r.io").await, Some(Login::IdentityToken("t".into())));
    }

    #[tokio::test]
    async fn a_login_is_for_its_host_and_port_alone() {
        let auth = STANDARD.encode("me:secret");
        let config = format!(
            r#"{{"auths":{{"a.example":{{"auth":"{auth}"}},"https://b.example:5000/":{{"auth":"{auth}"}}}}}}"#
        );
        let cases = [
            ("a.example", true),
            ("b.example:5000", true),
            ("a.example.evil", false),
            ("a.example:5000", false),
            ("x.a.example", false),
            ("example", false),
            ("b.example", false),
            ("b.example:443", false),
            ("a.example/../b.example", false),
        ];
        for (registry, known) in cases {
            assert_eq!(found(&config, registry).await.is_some(), known, "{registry}");
        }
    }

    #[tokio::test]
    async fn a_helper_is_a_word_and_never_a_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        // Were the name a path, this would be the program, and make the witness.
        let witness = folder.path().join("witness");
        let program = folder.path().join("program");
        std::fs::write(&program, format!("#!/bin/sh\ntouch {}\n", witness.display())).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let up = format!("../../../../../../../../../..{}", program.display());
        for helper in [&format!("x/{up}"), &up, "-x", "", ".", "a/b", "a b", "a\nb", "a\0b"] {
            let config = serde_json::json!({ "credHelpers": { "r.io": helper } });
            std::fs::write(&path, config.to_string()).unwrap();
            let error = Credentials::file(&path).find("r.io").await.unwrap_err();
            assert!(error.to_string().contains("is not a path"), "{helper:?}: {error}");
        }
        assert!(!witness.exists());
    }

    #[tokio::test]
    async fn a_stored_login_keeps_the_rest_and_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deeper/config.json");
        let credentials = Credentials::file(&path);
        assert_eq!(credentials.find("r.io").await.unwrap(), None);
        credentials.store("r.io", "me", "secret").unwrap();
        let mut value: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        value["psFormat"] = "table".into();
        std::fs::write(&path, value.to_string()).unwrap();
        credentials.store("docker.io", "hub", "x").unwrap();

        assert_eq!(credentials.find("r.io").await.unwrap(), Some(password("me", "secret")));
        assert_eq!(credentials.find("docker.io").await.unwrap(), Some(password("hub", "x")));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("psFormat") && text.contains(DOCKER_HUB_KEY), "{text}");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(credentials.forget("r.io").unwrap());
        assert_eq!(credentials.find("r.io").await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_lent_login_comes_before_the_files_for_its_registry_alone() {
        let folder = tempfile::tempdir().unwrap();
        let own = Credentials::file(folder.path().join("config.json"));
        own.store("r.io", "own", "x").unwrap();
        own.store("other.io", "own", "x").unwrap();
        let lent = own.lent("r.io", password("lent", "y"));
        assert_eq!(lent.find("r.io").await.unwrap(), Some(password("lent", "y")));
        assert_eq!(lent.find("other.io").await.unwrap(), Some(password("own", "x")));
        assert_eq!(own.find("r.io").await.unwrap(), Some(password("own", "x")));
        let text = std::fs::read_to_string(folder.path().join("config.json")).unwrap();
        assert!(!text.contains(&STANDARD.encode("lent:y")), "{text}");
    }

    #[tokio::test]
    async fn a_helper_that_is_not_installed_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        std::fs::write(&path, r#"{"credsStore":"no-such-thing"}"#).unwrap();
        let error = Credentials::file(path).find("r.io").await.unwrap_err();
        assert!(
            error.to_string().starts_with(
                "credential helper `docker-credential-no-such-thing` failed for `r.io`"
            )
        );
    }
}
