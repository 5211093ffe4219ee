//! `store` of `keel.yaml`: where what a controller must not lose is kept.

use super::named::Role;
use super::reader::Reader;
use crate::store::{EtcdConfig, EtcdTls};
use keel_spec::Item;

/// What keys begin with, where nothing else is said.
const PREFIX: &str = "keel";

impl Reader {
    /// `None`: files below the root.
    pub(super) fn store(&mut self, item: &Item) -> Option<EtcdConfig> {
        let mut etcd = None;
        self.keys(item, "store", "store", |this, key, value| {
            if key == "etcd" {
                etcd = this.etcd(value);
            }
        });
        etcd
    }

    fn etcd(&mut self, item: &Item) -> Option<EtcdConfig> {
        let before = self.problems.len();
        let mut etcd = EtcdConfig { prefix: PREFIX.to_owned(), ..EtcdConfig::default() };
        self.keys(item, "store.etcd", "etcd", |this, key, value| match key {
            "endpoints" => etcd.endpoints = this.endpoints(value),
            "prefix" => etcd.prefix = this.text(value).unwrap_or_default(),
            "tls" => etcd.tls = this.etcd_tls(value),
            _ => {}
        });
        if self.problems.len() == before && etcd.endpoints.is_empty() {
            self.wrong(item, "etcd needs `endpoints`: the URLs of its members");
        }
        (self.problems.len() == before).then_some(etcd)
    }

    fn endpoints(&mut self, item: &Item) -> Vec<String> {
        match &item.node {
            keel_spec::Node::List(items) => {
                items.iter().filter_map(|item| self.http_url(item)).collect()
            }
            _ => self.list(item),
        }
    }

    fn etcd_tls(&mut self, item: &Item) -> Option<EtcdTls> {
        let before = self.problems.len();
        let (mut ca, mut cert, mut key) = (None, None, None);
        self.keys(item, "store.etcd.tls", "tls", |this, name, value| match name {
            "ca" => ca = this.file(value, Role::File),
            "cert" => cert = this.file(value, Role::File),
            "key" => key = this.file(value, Role::Secret),
            _ => {}
        });
        match (ca, cert, key) {
            (Some(ca), Some(cert), Some(key)) => Some(EtcdTls { ca, cert, key }),
            _ if self.problems.len() > before => None,
            _ => {
                self.wrong(item, "tls of etcd needs `ca`, `cert` and `key`");
                None
            }
        }
    }
}
