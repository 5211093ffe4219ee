. "$(dirname "$0")/lib.sh"
systemctl start keel-boot
runs web-web-1 || until_ 60 runs web-web-1
until_ 60 runs other-web-1
until_ 60 answers
pid=$(field web-web-1 pid) group=$(group_of "$pid")
holds "the reboot"
supervised other-web-1
echo "everything is back without serve"

systemctl start keel
until_ 60 "$keel" sync
[[ $(field web-web-1 pid) == "$pid" ]] || fail "not adopted"
"$keel" down other
"$keel" down --volumes web
[[ -z $(find /sys/fs/cgroup -name 'keel-*') ]] || fail "a cgroup is left: $(find /sys/fs/cgroup -name 'keel-*')"
echo "all well"
