# Shared by the scripts that run inside of the virtual machine: KEEL EXAMPLE are their arguments.
set -euo pipefail
keel=$1 example=$2
export KEEL_ROOT=/disk/keel NO_COLOR=1

for module in nf_tables nft_chain_nat nft_masq nft_fib_inet nft_numgen nft_ct nft_redir nft_reject_inet bridge veth br_netfilter nf_conntrack; do
  modprobe "$module" 2>/dev/null || true
done

fail() {
  echo "FAILED: $*"
  "$keel" ps -a || true
  "$keel" status || true
  [[ ! -e /mnt/serve.log ]] || tail -n 40 /mnt/serve.log
  exit 1
}

# until SECONDS COMMAND...: waits for it to succeed
until_() {
  local end=$((SECONDS + $1)); shift
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < end)) || fail "not in time: $*"
    read -r -t 0.3 <> <(:) || true
  done
}

answers() { curl -sf -m 20 http://127.0.0.1:8080/; }
healthy() { [[ $("$keel" ps --format json | grep -c '"health": *"healthy"') -ge 3 ]]; }
field() { "$keel" ps -a --format json | python3 -c "import json, sys; print(next(r for r in json.load(sys.stdin) if r['name'] == '$1')['$2'])"; }
