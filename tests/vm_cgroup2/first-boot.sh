. "$(dirname "$0")/lib.sh"
mkdir -p /disk/hello
cp "$example/compose.yaml" /disk/hello/
# a limit, to be read back from the kernel
sed -i '0,/^  counter:/s//  counter:\n    mem_limit: 48m/' /disk/hello/compose.yaml

"$keel" serve /disk/hello >/mnt/serve.log 2>&1 &
serve=$!
until_ 400 healthy
until_ 120 answers
said=$(answers)
[[ $said == Hello* ]] || fail "another answer: $said"
echo "hello runs"

pid=$(field hello-counter-1 pid)
group=/sys/fs/cgroup$(sed -n 's/^0:://p' "/proc/$pid/cgroup")
[[ $(cat "$group/memory.max") == 50331648 ]] || fail "memory.max is $(cat "$group/memory.max")"
echo "the limit holds"

"$keel" restart hello-counter-1
[[ $(field hello-counter-1 pid) != "$pid" ]] || fail "not restarted"
until_ 300 healthy
echo "restarted"

kill -9 "$serve"; wait "$serve" || true
group=/sys/fs/cgroup$(sed -n 's/^0:://p' "/proc/$(field hello-counter-1 pid)/cgroup")
echo 33554432 >"$group/memory.max"
code=0; "$keel" drift >/mnt/drift || code=$?
[[ $code == 2 ]] || fail "drift said $code"
for part in mem_limit 48MiB 32MiB compose.yaml:; do
  grep -q "$part" /mnt/drift || fail "drift said: $(cat /mnt/drift)"
done
echo "drift is told"
sync
echo "all well"
