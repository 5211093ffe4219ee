//! One service: its topics put together.

use super::{Lowering, depends, deploy, health, limits, origins, ports, process, security};
use crate::desired::{DesiredService, Held, Origin};
use keel_engine::{TaskSpec, hash_of};
use keel_spec::{Code, Problem, Service};

impl Lowering<'_> {
    pub(super) fn service(&mut self, service: &Service) -> DesiredService {
        let mut spec = TaskSpec::default();
        let mut origins = origins::of(service, self.stack);
        process::lower(service, &mut spec);
        limits::lower(&service.limits, &mut spec);
        security::lower(&service.security, &mut spec);
        spec.healthcheck = service.health.as_ref().map(health::lower);
        spec.restart = deploy::restart(service.restart);
        spec.labels = self.labels(service);
        (spec.container_name, spec.networks) = (self.container_name(service), self.attach(service));
        spec.tmpfs = super::mounts::tmpfs(service);
        spec.network_mode = super::networks::mode(&service.networking.mode);
        (spec.ports, spec.volumes) =
            (ports::lower(service, &mut origins), self.mounts(service, &mut origins));
        (spec.configs, spec.secrets) = (self.configs(service), self.secrets(service));
        DesiredService {
            hash: hash_of(&spec),
            fixed_name: service.container_name.is_some(),
            replicas: self.replicas(service),
            depends_on: depends::lower(service),
            order: service.deploy.order.map(deploy::order),
            held: self.held(service),
            drift: service.policy.drift.map(deploy::drift),
            settle: service.policy.settle.map(process::millis),
            health_timeout: self.health_timeout(service),
            origins,
            spec,
        }
    }

    fn container_name(&self, service: &Service) -> String {
        let own = || format!("{}-{}", self.stack.name, service.name);
        service.container_name.clone().unwrap_or_else(own)
    }

    /// No revision in here: labels are part of the meaning.
    fn labels(&self, service: &Service) -> std::collections::BTreeMap<String, String> {
        let mut labels = service.labels.clone();
        labels.extend(self.own_labels());
        let dir = self.stable(&self.stack.dir).display().to_string();
        for (key, value) in [
            ("com.docker.compose.service", service.name.as_str()),
            ("com.docker.compose.oneoff", "False"),
            ("com.docker.compose.project.working_dir", &dir),
            ("keel.service", &service.name),
        ] {
            labels.insert(key.to_owned(), value.to_owned());
        }
        labels
    }

    fn replicas(&mut self, service: &Service) -> u32 {
        let replicas = service.deploy.replicas;
        if let (Some(name), true) = (&service.container_name, replicas > 1) {
            let message = format!(
                "service `{}` asks for {replicas} replicas that would all be named `{name}`",
                service.name
            );
            let problem = Problem::new(Code::Conflict, message)
                .hint("leave out `container_name`, or ask for one replica");
            self.report(problem, &service.origins, "container_name");
        }
        replicas
    }

    /// Its own held keys, and those of what it uses.
    fn held(&self, service: &Service) -> Vec<Held> {
        let mut held: Vec<Held> = service.held.iter().map(|h| self.holds("", h)).collect();
        let networks = self.used_networks(service).into_iter().filter_map(|key| {
            Some((format!("networks.{key}."), &self.stack.networks.get(&key)?.held))
        });
        let volumes = super::mounts::used_volumes(service).filter_map(|key| {
            Some((format!("volumes.{key}."), &self.stack.volumes.get(key)?.held))
        });
        let configs = service.configs.iter().filter_map(|grant| {
            let key = &grant.source;
            Some((format!("configs.{key}."), &self.stack.configs.get(key)?.held))
        });
        let secrets = service.secrets.iter().filter_map(|grant| {
            let key = &grant.source;
            Some((format!("secrets.{key}."), &self.stack.secrets.get(key)?.held))
        });
        for (prefix, of) in networks.chain(volumes).chain(configs).chain(secrets) {
            held.extend(of.iter().map(|h| self.holds(&prefix, h)));
        }
        held.extend(self.missing_here(service));
        held
    }

    fn holds(&self, prefix: &str, held: &keel_spec::Held) -> Held {
        Held {
            field: format!("{prefix}{}", held.path),
            why: held.why.clone(),
            at: Some(origins::origin(&held.span, &held.path, self.stack)),
        }
    }

    /// What this host lacks, or what only another engine could serve.
    fn missing_here(&self, service: &Service) -> Vec<Held> {
        let at = |path: &str| -> Option<Origin> {
            service.origins.nearest(path).map(|span| origins::origin(span, path, self.stack))
        };
        let missing =
            |path: &str| self.sources.kind(std::path::Path::new(path)) == keel_spec::Kind::Missing;
        let known = |field: &str| service.held.iter().any(|held| held.path.starts_with(field));
        let devices = service.security.devices.iter().enumerate().filter_map(|(i, device)| {
            let field = format!("devices[{i}]");
            (missing(&device.source) && !known(&field)).then(|| Held {
                why: format!("this host has no {}", device.source),
                at: at(&field),
                field,
            })
        });
        let sockets = service.mounts.iter().enumerate().filter_map(|(i, mount)| {
            let field = format!("volumes[{i}]");
            (super::mounts::is_docker_socket(mount) && !known(&field)).then(|| Held {
                why: "Docker's socket means nothing here: no Docker daemon runs the stack".into(),
                at: at(&field),
                field,
            })
        });
        devices.chain(sockets).collect()
    }

    fn health_timeout(&mut self, service: &Service) -> Option<u64> {
        let timeout = process::millis(service.policy.health_timeout?);
        let own = service.health.as_ref().map_or(0, health::limit);
        if timeout < own {
            let problem = Problem::new(
                Code::HealthTimeout,
                format!(
                    "service `{}` is given up before its own health check would give up",
                    service.name
                ),
            )
            .hint(format!("the check allows {} s", own.div_ceil(1_000)));
            self.report(problem, &service.origins, "x-keel.health-timeout");
        }
        Some(timeout)
    }

    /// Files a problem at a field, or the nearest that holds it.
    pub(super) fn report(&mut self, problem: Problem, origins: &keel_spec::Origins, field: &str) {
        self.problems.push(match origins.nearest(field) {
            Some(span) => problem.at(span.clone()),
            None => problem,
        });
    }
}
