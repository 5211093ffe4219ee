//! One service: its topics put together.

use super::{Lowering, depends, deploy, health, limits, nodes, origins, ports, process, security};
use crate::desired::{DesiredService, Held};
use keel_engine::{TaskSpec, hash_of, labels};
use keel_spec::{Code, Problem, Service};

impl Lowering<'_> {
    pub(super) fn service(&mut self, service: &Service) -> DesiredService {
        let mut spec = TaskSpec::default();
        let mut origins = origins::of(service, self.stack);
        process::lower(service, &mut spec);
        limits::lower(&service.limits, &mut spec);
        nodes::reserve(service, &mut spec);
        security::lower(&service.security, &mut spec);
        spec.healthcheck = service.health.as_ref().map(health::lower);
        spec.restart = deploy::restart(service.restart);
        spec.labels = self.labels(service);
        (spec.container_name, spec.networks) =
            (self.container_name(service), self.attach(service, &mut origins));
        spec.tmpfs = super::mounts::tmpfs(service);
        spec.network_mode = super::networks::mode(&service.networking.mode);
        (spec.ports, spec.volumes) =
            (ports::lower(service, &mut origins), self.mounts(service, &mut origins));
        (spec.configs, spec.secrets) = (self.configs(service), self.secrets(service));
        DesiredService {
            hash: hash_of(&spec),
            fixed_name: service.container_name.is_some(),
            replicas: service.deploy.replicas,
            placement: self.placement(service),
            depends_on: depends::lower(service),
            order: service.deploy.update.order.map(deploy::order),
            update: deploy::pace(&service.deploy.update),
            rollback: deploy::pace(&service.deploy.rollback),
            rollback_order: service.deploy.rollback.order.map(deploy::order),
            held: self.held(service),
            drift: service.policy.drift.map(deploy::drift),
            settle: service.policy.settle.map(process::millis),
            health_timeout: self.health_timeout(service),
            image_wait: service.policy.image_wait.map(process::millis),
            run: service.policy.run.map(deploy::run),
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
        let mut all = service.labels.clone();
        all.extend(self.own_labels());
        let dir = self.stable(&self.stack.dir).display().to_string();
        for (key, value) in [
            (labels::SERVICE, service.name.as_str()),
            (labels::ONE_OFF, "False"),
            (labels::WORKING_DIR, &dir),
            (labels::KEEL_SERVICE, &service.name),
        ] {
            all.insert(key.to_owned(), value.to_owned());
        }
        all
    }

    /// What the loader holds, also for what the service uses.
    fn held(&self, service: &Service) -> Vec<Held> {
        service.held.iter().map(|held| self.holds(held)).collect()
    }

    fn holds(&self, held: &keel_spec::Held) -> Held {
        Held {
            field: held.path.clone(),
            why: held.why.clone(),
            at: Some(origins::origin(&held.span, &held.path, self.stack)),
        }
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
            self.report(problem, service, "x-keel.health-timeout");
        }
        Some(timeout)
    }

    /// Files a problem of a service at a field, or the nearest that holds it.
    pub(super) fn report(&mut self, problem: Problem, service: &Service, field: &str) {
        let problem = problem.of(&service.name);
        self.problems.push(match service.origins.nearest(field) {
            Some(span) => problem.at(span.clone()),
            None => problem,
        });
    }
}
