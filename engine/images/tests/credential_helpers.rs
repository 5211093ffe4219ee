//! Credential helpers, with one on the search path.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use keel_engine::Login;
use keel_images::Credentials;

const SCRIPT: &str = r#"#!/bin/sh
[ "$1" = get ] || exit 2
server=$(cat)
case "$server" in
    good.example) echo '{"ServerURL":"x","Username":"me","Secret":"s3cret"}' ;;
    token.example) echo '{"Username":"<token>","Secret":"t0ken"}' ;;
    none.example) echo 'credentials not found in native keychain'; exit 1 ;;
    *) echo "the keychain is locked"; exit 1 ;;
esac
"#;

/// The search path belongs to the process, so the checks run in one of their own.
#[test]
fn helpers_are_asked_as_docker_asks_them() {
    let folder = tempfile::tempdir().unwrap();
    let helper = folder.path().join("docker-credential-fake");
    std::fs::write(&helper, SCRIPT).unwrap();
    std::fs::set_permissions(&helper, PermissionsExt::from_mode(0o755)).unwrap();
    let config = r#"{"credHelpers":{"elsewhere.example":"missing"},"credsStore":"fake",
        "auths":{"none.example":{"auth":"ZmlsZTpwYXNz"}}}"#;
    std::fs::write(folder.path().join("config.json"), config).unwrap();
    let path = std::env::var("PATH").unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "with_the_helper_on_the_path"])
        .env("PATH", format!("{}:{path}", folder.path().display()))
        .env("HELPER_TEST_FOLDER", folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[tokio::test]
#[ignore = "the test above runs it, with the helper on the search path"]
async fn with_the_helper_on_the_path() {
    let Some(folder) = std::env::var_os("HELPER_TEST_FOLDER") else { return };
    let credentials = Credentials::file(std::path::Path::new(&folder).join("config.json"));
    let password = |user: &str, password: &str| {
        Some(Login::Password { user: user.into(), password: password.into() })
    };
    let found = async |registry| credentials.find(registry).await;
    assert_eq!(found("good.example").await.unwrap(), password("me", "s3cret"));
    let token = Some(Login::IdentityToken("t0ken".into()));
    assert_eq!(found("token.example").await.unwrap(), token);
    // What the helper does not have may still be in the file.
    assert_eq!(found("none.example").await.unwrap(), password("file", "pass"));
    assert_eq!(
        found("locked.example").await.unwrap_err().to_string(),
        "credential helper `docker-credential-fake` failed for `locked.example`: the keychain is locked"
    );
    assert!(found("elsewhere.example").await.is_err());
}
