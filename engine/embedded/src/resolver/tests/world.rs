//! A small world in network namespaces: a `host` where our code runs, an `outside` machine that
//! is its neighbour and name server, and tasks whose records a test writes by hand.

use crate::network::namespace::inside;
use crate::network::{Network, Taken, addresses, connect, ensure_network, teardown};
use crate::resolver;
use crate::root::layout::Layout;
use crate::root::record::{Activity, Endpoint, Process, ShimState, Stage, Work, store};
use keel_engine::{Attachment, Health, NetworkSpec, Protocol, PublishedPort, TaskId, TaskSpec};
use keel_testing::waiting::{eventually, patience, until};
use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long an answer of the network may take.
pub fn reply_limit() -> Duration {
    Duration::from_secs(2) * patience().min(5)
}

/// Polls a condition; what is checked here happens in another process.
pub fn wait_for(what: &str, done: impl Fn() -> bool) {
    until(what, || done().then_some(()), String::new);
}

/// A network namespace, held by a process that sleeps in it.
pub struct Space {
    holder: Child,
    servers: Vec<(Arc<AtomicBool>, JoinHandle<()>)>,
}

impl Space {
    pub fn new() -> Self {
        // As a shim, it does not end by SIGUSR2.
        let line = "trap '' USR2; exec sleep 3600";
        let holder = Command::new("unshare").args(["--net", "sh", "-c", line]).spawn().unwrap();
        let space = Self { holder, servers: Vec::new() };
        wait_for("a namespace", || {
            fs::read_to_string(format!("/proc/{}/comm", space.pid())).unwrap() == "sleep\n"
        });
        space
    }

    pub fn pid(&self) -> u32 {
        self.holder.id()
    }

    pub fn path(&self) -> PathBuf {
        format!("/proc/{}/ns/net", self.pid()).into()
    }

    /// Runs a shell line in it: whether it ended well, and what it printed.
    pub fn try_run(&self, line: &str) -> (bool, String) {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path().display())).args(["sh", "-c", line]);
        let done = command.output().unwrap();
        let text = [done.stdout, done.stderr].concat();
        (done.status.success(), String::from_utf8_lossy(&text).into_owned())
    }

    pub fn run(&self, line: &str) -> String {
        let (well, text) = self.try_run(line);
        assert!(well, "{line}: {text}");
        text
    }

    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let file = File::open(self.path()).unwrap();
        inside(file.as_fd(), || Ok(work())).unwrap()
    }

    /// What a web server says, or nothing.
    pub fn get(&self, address: &str) -> String {
        let seconds = reply_limit().as_secs();
        self.try_run(&format!("curl -s --max-time {seconds} http://{address}/")).1
    }

    /// What a UDP server says, or nothing.
    pub fn ask_udp(&self, address: &str) -> String {
        self.enter(|| {
            let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
            socket.set_read_timeout(Some(reply_limit())).unwrap();
            let _ = socket.connect(address);
            let _ = socket.send(b"who");
            let mut answer = [0; 100];
            let length = socket.recv(&mut answer).unwrap_or(0);
            String::from_utf8_lossy(&answer[..length]).into_owned()
        })
    }

    fn background(&mut self, work: impl FnOnce(&AtomicBool) + Send + 'static) {
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        self.servers.push((stop, std::thread::spawn(move || work(&flag))));
    }

    /// A web server that says this.
    pub fn serve_tcp(&mut self, port: u16, text: &str) {
        let listener = self.enter(|| TcpListener::bind(("0.0.0.0", port)).unwrap());
        listener.set_nonblocking(true).unwrap();
        let answer = format!("HTTP/1.0 200 OK\r\n\r\n{text}");
        self.background(move |stop| {
            while !stop.load(Ordering::Relaxed) {
                let Ok((mut stream, _)) = listener.accept() else {
                    std::thread::park_timeout(Duration::from_millis(2));
                    continue;
                };
                stream.set_nonblocking(false).unwrap();
                let _ = stream.read(&mut [0; 1000]);
                let _ = stream.write_all(answer.as_bytes());
            }
        });
    }

    /// A UDP server that answers by this.
    pub fn serve_udp(&mut self, port: u16, answer: impl Fn(&[u8]) -> Vec<u8> + Send + 'static) {
        let socket = self.enter(|| UdpSocket::bind(("0.0.0.0", port)).unwrap());
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        self.background(move |stop| {
            let mut buffer = [0; 4096];
            while !stop.load(Ordering::Relaxed) {
                if let Ok((length, client)) = socket.recv_from(&mut buffer) {
                    let _ = socket.send_to(&answer(&buffer[..length]), client);
                }
            }
        });
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        for (stop, server) in self.servers.drain(..) {
            stop.store(true, Ordering::Relaxed);
            let _ = server.join();
        }
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// A task: its namespace stands for its shim.
pub struct Task {
    pub id: TaskId,
    pub space: Space,
    pub work: Work,
    pub state: ShimState,
}

impl Task {
    pub fn address(&self) -> String {
        self.work.endpoints[0].address_text()
    }
}

/// Where the host is for its neighbour.
pub const HOST: &str = "10.9.0.1";
/// The neighbour.
pub const OUTSIDE: &str = "10.9.0.2";

/// The host, its neighbour, a root.
pub struct World {
    pub host: Space,
    pub outside: Space,
    pub layout: Layout,
    pub networks: BTreeMap<String, Network>,
    root: tempfile::TempDir,
}

impl World {
    pub fn new() -> Self {
        let (host, outside) = (Space::new(), Space::new());
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::new(root.path());
        let pid = outside.pid();
        host.run(&format!(
            "ip link set lo up && ip link add up0 type veth peer name eth0 netns {pid} && \
             ip addr add {HOST}/24 dev up0 && ip link set up0 up"
        ));
        outside.run(&format!(
            "ip link set lo up && ip addr add {OUTSIDE}/24 dev eth0 && ip link set eth0 up"
        ));
        fs::write(root.path().join("resolv.conf"), format!("nameserver {OUTSIDE}\n")).unwrap();
        Self { host, outside, layout, networks: BTreeMap::new(), root }
    }

    pub fn network(&mut self, name: &str, internal: bool) -> Network {
        let spec = NetworkSpec { name: name.into(), internal, ..NetworkSpec::default() };
        let network = self.host.enter(|| ensure_network(&self.layout, &spec, None, &self.list()));
        let network = network.unwrap();
        self.networks.insert(name.into(), network.clone());
        network
    }

    pub fn list(&self) -> Vec<&Network> {
        self.networks.values().collect()
    }

    /// A running task of a service `NAME`, in these networks, with published ports
    /// (host address, port, protocol) that lead to port 80 and say its container's name.
    pub fn task(
        &self,
        container: &str,
        service: &str,
        networks: &[&str],
        ports: &[(&str, u16, Protocol)],
        taken: &[&Task],
    ) -> Task {
        let attach = |name: &&str| Attachment {
            network: (*name).into(),
            aliases: vec![service.into()],
            addresses: vec![],
        };
        let spec = TaskSpec {
            container_name: container.into(),
            networks: networks.iter().map(attach).collect(),
            ..TaskSpec::default()
        };
        let id = TaskId::from_seed(container);
        let held: Vec<(String, Endpoint)> = taken
            .iter()
            .flat_map(|task| task.work.endpoints.iter())
            .map(|endpoint| ("another".to_owned(), endpoint.clone()))
            .collect();
        let taken = Taken { held, promised: Vec::new() };
        let endpoints = addresses::endpoints(&id, &spec, &self.networks, &taken, &[]).unwrap();
        let mut space = Space::new();
        self.host.enter(|| connect(&endpoints, &space.path())).unwrap();
        space.serve_tcp(80, container);
        let name = container.to_owned();
        space.serve_udp(80, move |_| name.clone().into_bytes());
        let shim = Process::find(space.pid());
        let published = ports.iter().map(|(host_ip, published, protocol)| PublishedPort {
            host_ip: host_ip.parse().unwrap(),
            published: *published,
            target: 80,
            protocol: *protocol,
        });
        let work = Work {
            stage: Stage::Launched,
            endpoints,
            ports: published.collect(),
            shim: shim.clone(),
            ..Work::default()
        };
        let state = ShimState {
            activity: Activity::Running,
            process: shim.clone(),
            shim,
            ..ShimState::default()
        };
        let task = Task { id, space, work, state };
        fs::create_dir_all(self.layout.task(&task.id).0).unwrap();
        self.store(&task);
        task
    }

    pub fn store(&self, task: &Task) {
        let dir = self.layout.task(&task.id);
        store(&dir.state(), &task.state).unwrap();
        store(&dir.work(), &task.work).unwrap();
    }

    pub fn set(&self, task: &mut Task, activity: Activity, health: Health) {
        task.state.activity = activity;
        task.state.health = health;
        self.store(task);
    }

    /// The task and its folder are gone.
    pub fn remove(&self, task: Task) {
        fs::remove_dir_all(self.layout.task(&task.id).0).unwrap();
    }

    /// Starts `keel net` as the engine does, unless it runs: here this very test program, with
    /// the neighbour as the host's name server.
    pub fn serve(&self) {
        let program = self.root.path().join("program");
        let script = format!(
            "#!/bin/sh\n\
             export KEEL_TEST_NET_ROOT=\"$2\"\n\
             exec unshare --mount sh -c 'mount --bind {root}/resolv.conf /etc/resolv.conf && \
             exec {test} --exact resolver::tests::serves_as_keel_net --ignored --nocapture'\n",
            root = self.root.path().display(),
            test = std::env::current_exe().unwrap().display(),
        );
        if !program.exists() {
            fs::write(&program, script).unwrap();
            fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
        }
        self.host.enter(|| resolver::ensure(&self.layout, &program)).unwrap();
    }

    /// Starts `keel net` and waits until this task has names.
    pub fn serve_to(&self, task: &Task) {
        self.serve();
        let served =
            resolver::wait(&self.layout, &task.id, Duration::from_secs(15) * patience()).unwrap();
        assert!(served, "{}", self.log());
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.layout.run().join("net.log")).unwrap_or_default()
    }

    pub fn server(&self) -> Option<Process> {
        crate::root::record::load(&self.layout.run().join("net.pid")).unwrap()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.layout.tasks());
        if let Ok(Some(server)) =
            crate::root::record::load::<Process>(&self.layout.run().join("net.pid"))
        {
            eventually(|| (!server.lives()).then_some(()));
        }
        let _ = self.host.enter(|| teardown(&self.layout));
    }
}
