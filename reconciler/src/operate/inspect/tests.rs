//! What `inspect` tells, in full.

use super::*;
use crate::operate::samples::{observation, task};
use keel_engine::{
    Attachment, Digest, Mount, MountSource, NetworkSpec, Observation, Protocol, PublishedPort,
    VolumeSpec,
};
use std::net::Ipv4Addr;
use std::sync::Arc;

/// One that has something of everything.
fn busy() -> ObservedTask {
    let mut task = task("web", "1", 'a', 1_000);
    let spec = Arc::make_mut(&mut task.spec);
    spec.environment = [("A".into(), Some("b".into())), ("GONE".into(), None)].into();
    spec.volumes =
        [MountSource::Anonymous, MountSource::Bind { path: "/srv".into(), create: false }]
            .map(|source| Mount {
                source,
                target: "/data".into(),
                read_only: true,
                shared: false,
                propagation: None,
                digest: None,
            })
            .into();
    spec.restart = RestartPolicy::OnFailure { max: 3 };
    spec.networks = vec![Attachment {
        network: "hello_default".into(),
        aliases: vec!["web".into()],
        addresses: vec![],
    }];
    task.digest = Some(Digest::of(b"nginx"));
    (task.health, task.health_output) = (Health::Healthy, Some("ok".into()));
    task.addresses = vec![("hello_default".into(), Ipv4Addr::new(172, 20, 0, 2).into())];
    task.ports = vec![PublishedPort {
        host_ip: Ipv4Addr::UNSPECIFIED.into(),
        published: 8080,
        target: 80,
        protocol: Protocol::Tcp,
    }];
    task
}

fn seen() -> Nodes {
    let network = ObservedNetwork {
        spec: NetworkSpec { name: "hello_default".into(), ..NetworkSpec::default() },
        pools: vec![AddressPool {
            subnet: "172.20.0.0/16".parse().unwrap(),
            gateway: "172.20.0.1".parse().ok(),
        }],
        link: Some("kl1".into()),
        created: 1_000,
        tasks: vec![],
        message: None,
    };
    let volume = ObservedVolume {
        spec: VolumeSpec { name: "data".into(), driver: "local".into(), ..VolumeSpec::default() },
        mountpoint: "/var/lib/keel/volumes/data/data".into(),
        created: 1_000,
        tasks: vec![],
        anonymous: false,
        message: None,
    };
    let image = ObservedImage {
        reference: "nginx:1".into(),
        digest: Some(Digest::of(b"nginx")),
        size: 5,
        ..ObservedImage::default()
    };
    let tasks = observation([busy()]);
    let observed = tasks.known(&tasks.home).unwrap().clone();
    Observation {
        networks: vec![Arc::new(network)],
        volumes: vec![Arc::new(volume)],
        images: vec![Arc::new(image)],
        ..observed
    }
    .into()
}

fn json(found: Option<Inspected>) -> serde_json::Value {
    serde_json::to_value(found.unwrap()).unwrap()
}

#[test]
fn a_container_has_docker_s_fields() {
    let seen = seen();
    let found = json(Some(container(seen.all_tasks().next().unwrap(), &seen)));
    insta::assert_snapshot!(serde_json::to_string_pretty(&found).unwrap(), @r#"
    {
      "Config": {
        "Cmd": null,
        "Entrypoint": null,
        "Env": [
          "A=b"
        ],
        "Healthcheck": null,
        "Hostname": "aaaaaaaaaaaa",
        "Image": "nginx:1",
        "Labels": {},
        "OpenStdin": false,
        "StopSignal": null,
        "StopTimeout": null,
        "Tty": false,
        "User": "",
        "WorkingDir": ""
      },
      "Created": "1970-01-01T00:00:01Z",
      "HostConfig": {
        "AutoRemove": false,
        "CapAdd": [],
        "CapDrop": [],
        "Dns": [],
        "GroupAdd": [],
        "Init": false,
        "Memory": 0,
        "MemorySwappiness": null,
        "NanoCpus": 0,
        "PidsLimit": null,
        "Privileged": false,
        "ReadonlyRootfs": false,
        "RestartPolicy": {
          "MaximumRetryCount": 3,
          "Name": "on-failure"
        },
        "SecurityOpt": [],
        "ShmSize": 67108864,
        "Sysctls": {}
      },
      "Id": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
      "Image": "sha256:5be1ecc7935f1dd85635d4feedaf660594030253cc97c9e9ca3819ffeac36b65",
      "Keel": {
        "Failure": null,
        "Generation": 1,
        "Goal": "running",
        "Message": null,
        "Node": "here",
        "Phase": "running",
        "Revision": "r1",
        "Service": "web",
        "Slot": "1",
        "Spec": {
          "container_name": "hello-web-1",
          "environment": {
            "A": "b",
            "GONE": null
          },
          "image": "nginx:1",
          "networks": [
            {
              "aliases": [
                "web"
              ],
              "network": "hello_default"
            }
          ],
          "restart": {
            "on-failure": {
              "max": 3
            }
          },
          "volumes": [
            {
              "read_only": true,
              "source": "anonymous",
              "target": "/data"
            },
            {
              "read_only": true,
              "source": {
                "bind": {
                  "path": "/srv"
                }
              },
              "target": "/data"
            }
          ]
        },
        "Stack": "hello"
      },
      "Mounts": [
        {
          "Destination": "/data",
          "Name": "",
          "Propagation": "rprivate",
          "RW": false,
          "Source": "",
          "Type": "volume"
        },
        {
          "Destination": "/data",
          "Name": "",
          "Propagation": "rprivate",
          "RW": false,
          "Source": "/srv",
          "Type": "bind"
        }
      ],
      "Name": "/hello-web-1",
      "NetworkSettings": {
        "IPAddress": "172.20.0.2",
        "Networks": {
          "hello_default": {
            "Aliases": [
              "web"
            ],
            "Gateway": "172.20.0.1",
            "IPAddress": "172.20.0.2",
            "NetworkID": "a3fce61370ffc2731d0db97fbab00b9be9562606fa57156b7b4931ba591212e5"
          }
        },
        "Ports": {
          "80/tcp": [
            {
              "HostIp": "0.0.0.0",
              "HostPort": "8080"
            }
          ]
        }
      },
      "RestartCount": 0,
      "State": {
        "Dead": false,
        "Error": "",
        "ExitCode": 0,
        "FinishedAt": "0001-01-01T00:00:00Z",
        "Health": {
          "Log": [
            {
              "Output": "ok"
            }
          ],
          "Status": "healthy"
        },
        "OOMKilled": false,
        "Paused": false,
        "Pid": 42,
        "Restarting": false,
        "Running": true,
        "StartedAt": "1970-01-01T00:00:01Z",
        "Status": "running"
      },
      "version": 1
    }
    "#);
}

#[test]
fn images_networks_and_volumes_have_docker_s_fields() {
    let seen = seen();
    let found = [
        json(image_named(&seen, "nginx:1")),
        json(network_named(&seen, "hello_default")),
        json(volume_named(&seen, "data")),
    ];
    insta::assert_snapshot!(serde_json::to_string_pretty(&found).unwrap(), @r#"
    [
      {
        "Created": null,
        "Id": null,
        "Keel": {
          "Failure": null,
          "Node": "here",
          "Pulling": null
        },
        "RepoDigests": [
          "sha256:5be1ecc7935f1dd85635d4feedaf660594030253cc97c9e9ca3819ffeac36b65"
        ],
        "RepoTags": [
          "nginx:1"
        ],
        "Size": 5,
        "version": 1
      },
      {
        "Containers": [
          "hello-web-1"
        ],
        "Created": "1970-01-01T00:00:01Z",
        "Driver": "bridge",
        "IPAM": {
          "Config": [
            {
              "Gateway": "172.20.0.1",
              "Subnet": "172.20.0.0/16"
            }
          ]
        },
        "Id": "a3fce61370ffc2731d0db97fbab00b9be9562606fa57156b7b4931ba591212e5",
        "Internal": false,
        "Keel": {
          "Bridge": "kl1",
          "Failure": null,
          "Message": null,
          "Node": "here"
        },
        "Labels": {},
        "Name": "hello_default",
        "Scope": "local",
        "version": 1
      },
      {
        "CreatedAt": "1970-01-01T00:00:01Z",
        "Driver": "local",
        "Keel": {
          "Anonymous": false,
          "Containers": [],
          "Node": "here"
        },
        "Labels": {},
        "Mountpoint": "/var/lib/keel/volumes/data/data",
        "Name": "data",
        "Options": {},
        "Scope": "local",
        "version": 1
      }
    ]
    "#);
}
