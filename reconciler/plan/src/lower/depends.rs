//! What must be there first.

use crate::desired::{Condition, DependsOn};
use keel_spec::{Service, service};

pub(super) fn lower(service: &Service) -> Vec<DependsOn> {
    let one = |(name, dependency): (&String, &service::Dependency)| DependsOn {
        service: name.clone(),
        condition: match dependency.condition {
            service::Condition::Started => Condition::Started,
            service::Condition::Healthy => Condition::Healthy,
            service::Condition::Completed => Condition::Completed,
        },
        required: dependency.required,
        restart: dependency.restart,
    };
    let mut all: Vec<_> = service.depends_on.iter().map(one).collect();
    if let service::NetworkMode::Service(host) = &service.networking.mode
        && !service.depends_on.contains_key(host)
    {
        let service = host.clone();
        all.push(DependsOn {
            service,
            condition: Condition::Started,
            required: true,
            restart: false,
        });
    }
    all
}
