//! `keel source webhook`: what a forge needs to be told. Reads the configuration alone.

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::{machine, root};
use keel_reconciler::config::{Config, WebhookConfig, read_secret};
use keel_webhooks::Forge;
use std::net::SocketAddr;

/// The arguments of `keel source webhook`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the forge reaches this host [default: http://HOST:PORT of `listen.webhooks`]
    #[arg(long, value_name = "URL")]
    base: Option<String>,
    /// The source
    #[arg(value_name = "SOURCE")]
    name: String,
}

/// Runs `keel source webhook`.
pub fn run(args: Args, context: &Context) -> Result<Exit> {
    let config = machine::config(context)?;
    let webhook = configured(&config, &args.name)?;
    let forge = Forge::of(&webhook.forge)
        .ok_or_else(|| Failure::new(format!("no forge is called `{}`", webhook.forge)))?;
    let secret = secret(webhook)?;
    if config.listen.webhooks.is_none() {
        context.screen.warn(
            "`listen.webhooks` names no address, so nothing is heard: listen: { webhooks: \"0.0.0.0:9000\" }",
        );
    }
    let url = url(args.base.as_deref(), config.listen.webhooks, root::node().as_str(), &args.name);
    context.screen.data(&text(&url, webhook, &secret, forge))?;
    context.screen.say("a webhook may get lost, so the source is still polled");
    Ok(Exit::Done)
}

fn configured<'a>(config: &'a Config, name: &str) -> Result<&'a WebhookConfig> {
    let Some(source) = config.sources.iter().find(|source| source.name == name) else {
        let names: Vec<_> = config.sources.iter().map(|source| source.name.as_str()).collect();
        let there = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        return Err(Failure::new(format!("no such source in keel.yaml: {name}"))
            .hint(format!("the sources are: {there}")));
    };
    source.webhook.as_ref().ok_or_else(|| {
        let forges: Vec<_> = keel_webhooks::FORGES.iter().map(|forge| forge.name).collect();
        Failure::new(format!("source {name} has no webhook")).hint(format!(
            "give it one in keel.yaml: webhook: {{ type: {}, secret-file: /etc/keel/{name}-hook }}",
            forges.join(" | ")
        ))
    })
}

fn secret(webhook: &WebhookConfig) -> Result<String> {
    let file = webhook.secret_file.display();
    let bytes = read_secret(&webhook.secret_file).map_err(|error| {
        Failure::caused(format!("cannot read the secret in `{file}`"), &error)
            .hint(format!("make one: (umask 077; openssl rand -hex 32 > {file})"))
    })?;
    String::from_utf8(bytes)
        .map_err(|_| Failure::new(format!("the secret in `{file}` is not text")))
}

fn url(base: Option<&str>, listen: Option<SocketAddr>, host: &str, name: &str) -> String {
    let base = match (base, listen) {
        (Some(base), _) => base.trim_end_matches('/').to_owned(),
        (None, Some(address)) if !address.ip().is_unspecified() => format!("http://{address}"),
        (None, Some(address)) => format!("http://{host}:{}", address.port()),
        (None, None) => format!("http://{host}:9000"),
    };
    format!("{base}/hooks/{name}")
}

fn text(url: &str, webhook: &WebhookConfig, secret: &str, forge: &Forge) -> String {
    let file = webhook.secret_file.display();
    // The secret last: nothing in it is to be replaced.
    let steps = forge.steps.replace("{url}", url).replace("{secret}", secret);
    format!("URL      {url}\nSecret   {secret}\n         (from {file})\n\n{steps}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_told_what_to_put_where() {
        let webhook =
            WebhookConfig { forge: "github".into(), secret_file: "/etc/keel/hook".into() };
        let url = url(None, "0.0.0.0:9000".parse().ok(), "shop", "home");
        let text = text(&url, &webhook, "s3cret", Forge::of("github").unwrap());
        insta::assert_snapshot!(text, @r"
        URL      http://shop:9000/hooks/home
        Secret   s3cret
                 (from /etc/keel/hook)

        In the repository: Settings, Webhooks, Add webhook
          Payload URL    http://shop:9000/hooks/home
          Content type   application/json
          Secret         s3cret
          Events         Just the push event
        GitHub sends a ping at once; it is answered with 202.
        ");
    }

    #[test]
    fn the_url_is_that_of_the_listener_unless_a_proxy_is_before_it() {
        let cases = [
            (None, Some("0.0.0.0:9000"), "http://shop:9000/hooks/a"),
            (None, Some("192.0.2.7:80"), "http://192.0.2.7:80/hooks/a"),
            (None, None, "http://shop:9000/hooks/a"),
            (Some("https://x.org/"), Some("0.0.0.0:9000"), "https://x.org/hooks/a"),
        ];
        for (base, listen, expected) in cases {
            let listen = listen.and_then(|text| text.parse().ok());
            assert_eq!(url(base, listen, "shop", "a"), expected);
        }
    }
}
