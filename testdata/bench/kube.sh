#!/usr/bin/env bash
# Measures orch on the lab's cluster beside kubernetes.core and kubectl: kube.sh, which
# prints tables. bench.sh starts it as the part "kube".
#
#   BENCH_ROUNDS   runs of each kind that count (3)
#   BENCH_ANSIBLE  the ansible-playbook to compare with; Debian's is installed if empty, "none" for none
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"
export CGO_ENABLED=0 GOFLAGS="-trimpath -buildvcs=false"
: "${ORCH_CLUSTER:?is empty: make bench sets it}"
export BENCH_ORCH=$root/bin/orch BENCH_KUBECTL=$ORCH_CLUSTER/kubectl

if [ -z "${BENCH_ANSIBLE:-}" ]; then
	if [ "$(id -u)" = 0 ] && ! dpkg-query -W ansible python3-kubernetes >/dev/null 2>&1; then
		{ apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get install -y -qq ansible python3-kubernetes; } >/dev/null 2>&1 ||
			echo "bench: cannot install kubernetes.core" >&2
	fi
	[ ! -x /usr/bin/ansible-playbook ] || export BENCH_ANSIBLE="/usr/bin/ansible-playbook -e ansible_python_interpreter=/usr/bin/python3"
fi
[ "${BENCH_ANSIBLE:-}" != none ] || export BENCH_ANSIBLE=

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
# the image of the rollouts, by orch itself
mkdir "$tmp/image"
gcc -Os -static -s -o "$tmp/image/app" modules/kube/testdata/app/app.c
printf 'FROM scratch\nCOPY app /app\nENTRYPOINT ["/app"]\n' >"$tmp/image/Dockerfile"
cat >"$tmp/push.yml" <<Y
- hosts: all
  connection: local
  gather_facts: false
  tasks:
    - community.docker.docker_image: {name: $(cat "$ORCH_CLUSTER/registry.addr")/lab/bench, tag: "1", source: build, push: true, build: {path: $tmp/image}}
Y
"$BENCH_ORCH" run -i localhost, "$tmp/push.yml" >"$tmp/push.log" || { cat "$tmp/push.log"; exit 1; }
export BENCH_IMAGE=lab/bench:1

versions() {
	echo "orch $("$BENCH_ORCH" version 2>/dev/null | awk 'NR == 1 {print $2}'), kubectl and cluster $("$BENCH_KUBECTL" version --client 2>/dev/null | awk '/Client/ {print $3}')"
	[ -z "${BENCH_ANSIBLE:-}" ] || echo "kubernetes.core $(ansible-galaxy collection list kubernetes.core 2>/dev/null | awk '/^kubernetes.core/ {print $2; exit}') under $(${BENCH_ANSIBLE%% *} --version | head -n 1)"
}
versions
go build -o "$tmp/kube" ./testdata/bench/kube
"$tmp/kube"
