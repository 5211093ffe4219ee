. "$(dirname "$0")/lib.sh"
web='{ image: keel.local/hello, restart: always, mem_limit: 48m, pids_limit: 77'
echo "services: { web: $web, ports: ['8080:80'] } }" >/disk/stacks/web/compose.yaml
echo "services: { web: $web } }" >/disk/other/compose.yaml

systemctl start keel
until_ 120 runs web-web-1
until_ 60 answers
pid=$(field web-web-1 pid) group=$(group_of "$pid")
main=$(systemctl show -p MainPID --value keel)
inside=$(cat /sys/fs/cgroup/system.slice/keel.service/cgroup.procs)
[[ $inside == "$main" ]] || fail "in the unit are $inside, not $main alone"
holds "the start"
echo "the unit starts"

systemctl stop keel
[[ ! -d /sys/fs/cgroup/system.slice/keel.service ]] || fail "the unit's cgroup is left"
holds "systemctl stop"
echo "a stop leaves containers running"

systemctl daemon-reload; holds "daemon-reload"
systemctl daemon-reexec; holds "daemon-reexec"
job limited MemoryMax=64M CPUQuota=50% TasksMax=9 ExecStart=/bin/true
systemctl set-property --runtime system.slice MemoryMax=infinity CPUWeight=100
holds "limits of other units"
printf '%s\n' '[Unit]' Requires=basic.target AllowIsolate=yes >/run/systemd/system/calm.target
systemctl daemon-reload
timeout 100 systemctl isolate calm.target; holds "isolate"
echo "what systemd does to cgroups does not reach ours"

# A job, a timer, a login: what it started outlives it.
job up "Environment=KEEL_ROOT=$KEEL_ROOT" "ExecStart=/usr/local/bin/keel up -d /disk/other"
runs other-web-1 || fail "other does not run"
supervised other-web-1
echo "a unit that ends takes no shim with it"

systemctl start keel
until_ 60 "$keel" sync
[[ $(field web-web-1 pid) == "$pid" ]] || fail "not adopted"
systemctl kill keel
again() { [[ $(systemctl show -p MainPID --value keel) != 0 ]] && "$keel" sync; }
until_ 60 again
[[ $(field web-web-1 pid) == "$pid" ]] || fail "systemctl kill reached the container"
holds "the next serve"
echo "the next serve adopts"
sync
echo "all well"
