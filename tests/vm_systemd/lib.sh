# Shared by the scripts that run under systemd in the virtual machine: KEEL and the project's folder
# are their arguments.
. "$2/tests/vm_cgroup2/lib.sh"

# What an installation is, with its root on the disk that stays.
install -m 755 "$keel" /usr/local/bin/keel
mkdir -p /etc/keel /disk/stacks/web /disk/other
echo 'sources: { home: { dir: /disk/stacks } }' >/etc/keel/keel.yaml
for unit in keel keel-boot; do
  cp "$2/dist/$unit.service" /etc/systemd/system/
  mkdir -p "/etc/systemd/system/$unit.service.d"
  printf '%s\n' '[Unit]' ConditionPathExists= '[Service]' "Environment=KEEL_ROOT=$KEEL_ROOT" \
    StandardOutput=append:/mnt/serve.log StandardError=append:/mnt/serve.log \
    >"/etc/systemd/system/$unit.service.d/root.conf"
done
systemctl daemon-reload

# job NAME SETTING...: a unit that ends by itself, and its end
job() {
  local name=$1; shift
  printf '%s\n' '[Service]' Type=oneshot "$@" >"/run/systemd/system/$name.service"
  systemctl daemon-reload
  systemctl start "$name"
}

runs() { [[ $(field "$1" state) == running ]]; }
group_of() { echo "/sys/fs/cgroup$(sed -n 's/^0:://p' "/proc/$1/cgroup")"; }

# holds WHAT: after it, the container runs on with its limit
holds() {
  [[ -d /proc/$pid ]] || fail "$1 ended the container"
  [[ $(cat "$group/memory.max") == 50331648 ]] || fail "$1: memory.max is $(cat "$group/memory.max")"
  [[ $(cat "$group/pids.max") == 77 ]] || fail "$1: pids.max is $(cat "$group/pids.max")"
  answers >/dev/null || fail "$1: it does not answer"
}

# supervised NAME: whose process is killed comes again, by its shim
supervised() {
  local before; before=$(field "$1" pid)
  kill -9 "$before"
  another() { [[ $(field "$1" state) == running && $(field "$1" pid) != "$2" ]]; }
  until_ 60 another "$1" "$before"
}
