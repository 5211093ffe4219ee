//! What must hold of keys that are not run, and so not part of the typed model: builds, devices,
//! models, watches. A file that is wrong in them is wrong everywhere else.

use crate::code::Code;
use crate::item::{Entry, Item};
use crate::nearest;
use crate::problem::{Problem, Problems};
use crate::service::Service;
use crate::span::Span;
use crate::stack::Stack;

/// Reports everything that does not hold. `model` is the tree that the stack was decoded from.
pub(crate) fn check(stack: &Stack, model: &Item, problems: &Problems) {
    let services = model.get("services").map(Item::entries).unwrap_or_default();
    for Entry { key, value, .. } in services {
        let Some(service) = stack.services.get(key).filter(|service| service.enabled) else {
            continue;
        };
        let check = Unrun { stack, model, service, problems };
        if let Some(build) = value.entry("build") {
            check.build(build, value);
        }
        check.devices(value);
        check.models(value);
        check.watches(value);
    }
}

struct Unrun<'a> {
    stack: &'a Stack,
    model: &'a Item,
    service: &'a Service,
    problems: &'a Problems,
}

impl Unrun<'_> {
    fn refuse(&self, code: Code, at: &Span, message: String, hint: Option<String>) {
        let mut problem = Problem::new(code, message).at(at.clone()).of(&self.service.name);
        problem.hint = hint;
        self.problems.add(problem);
    }

    fn build(&self, build: &Entry, service: &Item) {
        let name = &self.service.name;
        let build = &build.value;
        if let (Some(_), Some(inline)) = (build.get("dockerfile"), build.entry("dockerfile_inline"))
        {
            let message =
                format!("`build` of service `{name}` has a `dockerfile` and a `dockerfile_inline`");
            self.refuse(Code::Conflict, &inline.at, message, None);
        }
        if let Some(ssh) = build.entry("ssh").filter(|ssh| ssh.value.is_null()) {
            let message = format!("`build.ssh` of service `{name}` is empty");
            let hint = Some("write `[default]`, or `[ID=PATH]`".to_owned());
            self.refuse(Code::BadValue, &ssh.at, message, hint);
        }
        self.platforms(build, service);
        self.contexts(build);
        let secrets = build.get("secrets").map(Item::items).unwrap_or_default();
        for secret in secrets {
            let source = secret.text().or_else(|| secret.get("source")?.text());
            let Some(source) = source.filter(|name| !self.stack.secrets.contains_key(*name)) else {
                continue;
            };
            let message = format!("the build of `{name}` uses the undefined secret `{source}`");
            let known = self.stack.secrets.keys().map(String::as_str);
            self.refuse(Code::Undefined, &secret.span, message, nearest::hint(source, known));
        }
    }

    fn platforms(&self, build: &Item, service: &Item) {
        let platforms = build.get("platforms").map(Item::items).unwrap_or_default();
        let Some(wanted) = service.get("platform").and_then(Item::text) else { return };
        if let Some(first) = platforms.first()
            && !platforms.iter().any(|platform| platform.text() == Some(wanted))
        {
            let name = &self.service.name;
            let message = format!("service `{name}` runs on `{wanted}`, which is not built");
            let hint = Some(format!("add `{wanted}` to `build.platforms`"));
            self.refuse(Code::Conflict, &first.span, message, hint);
        }
    }

    fn contexts(&self, build: &Item) {
        let contexts = build.get("additional_contexts").map(Item::entries).unwrap_or_default();
        for context in contexts {
            let other = context.value.text().and_then(|text| text.strip_prefix("service:"));
            let Some(other) = other else { continue };
            let services = self.model.get("services");
            let built = services.and_then(|services| services.get(other)?.get("build")).is_some();
            if !built {
                let name = &self.service.name;
                let message = format!("the build of `{name}` needs `{other}`, which is not built");
                self.refuse(Code::Undefined, &context.value.span, message, None);
            }
        }
    }

    fn devices(&self, service: &Item) {
        let below = |item: Option<&Item>, key: &str| item.and_then(|item| item.get(key)).cloned();
        let reserved = below(service.get("deploy"), "resources");
        let reserved = below(below(reserved.as_ref(), "reservations").as_ref(), "devices");
        for device in reserved.as_ref().map(Item::items).unwrap_or_default() {
            self.device(device);
            if device.get("capabilities").is_none() && !device.entries().is_empty() {
                let name = &self.service.name;
                let message = format!("a device of service `{name}` has no `capabilities`");
                let hint = Some("write `capabilities: [gpu]`".to_owned());
                self.refuse(Code::MissingKey, &device.span, message, hint);
            }
        }
        for device in service.get("gpus").map(Item::items).unwrap_or_default() {
            self.device(device);
        }
        if let Some(text) = service.get("gpus").and_then(Item::text)
            && text != "all"
            && let Some(gpus) = service.get("gpus")
        {
            let message =
                format!("`gpus` of service `{}` must be `all`, or a list", self.service.name);
            self.refuse(Code::BadValue, &gpus.span, message, None);
        }
    }

    fn device(&self, device: &Item) {
        let name = &self.service.name;
        let Some(count) = device.entry("count") else { return };
        if device.get("device_ids").is_some() {
            let message = format!("a device of service `{name}` has a `count` and `device_ids`");
            self.refuse(Code::Conflict, &count.at, message, Some("keep one of them".to_owned()));
        }
        let text = count.value.text().unwrap_or_default();
        if text != "all" && text.parse::<i64>().is_err() {
            let message =
                format!("`count` of a device of service `{name}` must be a number or `all`");
            self.refuse(Code::BadValue, &count.value.span, message, None);
        }
    }

    fn models(&self, service: &Item) {
        let known = self.model.get("models").map(Item::entries).unwrap_or_default();
        for used in service.get("models").map(Item::entries).unwrap_or_default() {
            if known.iter().any(|model| model.key == used.key) {
                continue;
            }
            let name = &self.service.name;
            let message = format!("service `{name}` uses the undefined model `{}`", used.key);
            let near = nearest::hint(&used.key, known.iter().map(|model| model.key.as_str()));
            let hint = near.or_else(|| Some("declare it under the top-level `models:`".to_owned()));
            self.refuse(Code::Undefined, &used.at, message, hint);
        }
    }

    fn watches(&self, service: &Item) {
        const ACTIONS: [&str; 5] = ["rebuild", "restart", "sync", "sync+restart", "sync+exec"];
        let watch = service.get("develop").and_then(|develop| develop.get("watch"));
        let name = &self.service.name;
        for watch in watch.map(Item::items).unwrap_or_default() {
            let action = watch.get("action").and_then(Item::text);
            if watch.get("path").and_then(Item::text).is_none_or(|path| path.trim().is_empty()) {
                let message = format!("a watch of service `{name}` has no `path`");
                self.refuse(Code::MissingKey, &watch.span, message, None);
            }
            match action {
                None => {
                    let message = format!("a watch of service `{name}` has no `action`");
                    self.refuse(Code::MissingKey, &watch.span, message, None);
                }
                Some(action) if !ACTIONS.contains(&action) => {
                    let message = format!("`{action}` is not an action of a watch");
                    let at = watch.get("action").map_or(&watch.span, |item| &item.span);
                    let hint = nearest::hint(action, ACTIONS);
                    self.refuse(Code::BadValue, at, message, hint);
                }
                Some("rebuild" | "restart") => {}
                Some(action) if watch.get("target").is_none() => {
                    let message =
                        format!("a watch of service `{name}` has no `target` to {action}");
                    self.refuse(Code::MissingKey, &watch.span, message, None);
                }
                Some(_) => {}
            }
        }
    }
}
