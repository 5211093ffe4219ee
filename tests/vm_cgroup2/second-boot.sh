. "$(dirname "$0")/lib.sh"
mkdir -p /mnt/empty
[[ $("$keel" ps -q | wc -l) == 0 ]] || fail "nothing runs before somebody starts it"
"$keel" serve /mnt/empty >/mnt/serve.log 2>&1 &
until_ 400 healthy
until_ 120 answers
said=$(answers)
[[ $said == Hello* ]] || fail "another answer: $said"
group=/sys/fs/cgroup$(sed -n 's/^0:://p' "/proc/$(field hello-counter-1 pid)/cgroup")
[[ $(cat "$group/memory.max") == 50331648 ]] || fail "memory.max is $(cat "$group/memory.max")"
"$keel" down --volumes hello
[[ -z $(ls /disk/keel/tasks) ]] || fail "tasks are left"
[[ -z $(find /sys/fs/cgroup -name 'keel-*') ]] || fail "a cgroup is left"
echo "all well"
