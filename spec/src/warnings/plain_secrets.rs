//! Secrets that are written into a Compose file.

use crate::code::Code;
use crate::problem::Problem;
use crate::service::Service;
use crate::span::{Span, Texts, Via};

/// How the name of a variable with a secret ends.
const SECRET: &[&str] = &[
    "PASSWORD",
    "PASSWD",
    "PASS",
    "TOKEN",
    "SECRET",
    "APIKEY",
    "API_KEY",
    "SECRET_KEY",
    "PRIVATE_KEY",
    "ACCESS_KEY",
    "ENCRYPTION_KEY",
    "SECRET_KEY_BASE",
    "CREDENTIALS",
    "PASSPHRASE",
];

pub(super) fn warn(service: &Service, texts: &Texts) -> Vec<Problem> {
    let written = service.process.environment.iter().filter(|(name, value)| {
        let path = format!("environment.{name}");
        value.as_deref().is_some_and(|value| is_secret(name, value))
            && service.origins.get(&path).is_some_and(|span| is_literal(span, texts))
    });
    let problem = |(name, _): (&String, _)| {
        let message = format!("`{name}` of service `{}` is a secret in plain sight", service.name);
        let hint = "put it into `secrets:`, or into `.env` and write `${…}` here";
        super::at::at(
            service,
            &format!("environment.{name}"),
            Code::SecretInEnvironment,
            message,
            hint,
        )
    };
    written.map(problem).collect()
}

fn is_secret(name: &str, value: &str) -> bool {
    let name = name.to_ascii_uppercase().replace(['.', '-'], "_");
    let named = SECRET.iter().any(|end| {
        name.strip_suffix(end).is_some_and(|start| start.is_empty() || start.ends_with('_'))
    });
    let switch = ["", "true", "false", "yes", "no", "on", "off", "none", "null"];
    let harmless = switch.contains(&value.to_ascii_lowercase().as_str())
        || value.starts_with('/')
        || (value.len() < 4 && value.bytes().all(|b| b.is_ascii_digit()));
    named && !harmless
}

/// Whether the value stands in the Compose file itself, and not in a variable or an env file.
fn is_literal(span: &Span, texts: &Texts) -> bool {
    let elsewhere = |via: &Via| matches!(via, Via::Variable(_) | Via::EnvFile);
    if span.via.iter().any(|link| elsewhere(&link.how)) {
        return false;
    }
    let (start, len) = (span.column.saturating_sub(1) as usize, span.len as usize);
    let line = texts.line(&span.file, span.line).unwrap_or_default();
    !line.chars().skip(start).take(len).any(|c| c == '$')
}

#[cfg(test)]
mod tests {
    use super::is_secret;

    #[test]
    fn names_of_secrets() {
        for name in ["POSTGRES_PASSWORD", "token", "JWT_SECRET", "app.api-key", "SECRET_KEY_BASE"] {
            assert!(is_secret(name, "hunter2"), "{name}");
        }
        for name in ["PASSWORD_FILE", "TOKEN_TTL", "COMPASS", "KEY", "BYPASS", "MONKEY"] {
            assert!(!is_secret(name, "hunter2"), "{name}");
        }
        for value in ["", "yes", "/run/secrets/password", "16"] {
            assert!(!is_secret("ALLOW_EMPTY_PASSWORD", value), "{value}");
        }
    }
}
