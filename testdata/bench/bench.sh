#!/usr/bin/env bash
# Measures orch: bench.sh [PART...], the parts being those of the Go program beside this
# file, "kube" and "jinja". make bench runs it after building orch and starting the lab.
#
#   BENCH_SITE    a playbook instead of site/site.yml
#   BENCH_ROUNDS  runs that change nothing, per tool (3)
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$(dirname "$here")")
cd "$root"
export CGO_ENABLED=0 GOFLAGS="-trimpath -buildvcs=false"

parts=${*:-start scale site kube jinja weight}

# peers installs what orch is measured against, where that is possible.
peers() {
	if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
		local missing="" p
		for p in ansible-core ansible-mitogen openssh-client; do
			dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing="$missing $p"
		done
		[ -z "$missing" ] || { apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $missing; } >/dev/null 2>&1 ||
			echo "bench: cannot install$missing" >&2
	fi
	BENCH_MITOGEN=/usr/lib/python3/dist-packages/ansible_mitogen/plugins/strategy
	[ -d "$BENCH_MITOGEN" ] || BENCH_MITOGEN=
	export BENCH_MITOGEN
}

# hosts makes sure of four hosts that are alike and nobody else's.
hosts() {
	: "${ORCH_LAB:?is empty: make bench sets it}"
	BENCH_INVENTORY=$ORCH_LAB/plain.ini
	local h up=1
	for h in plain1 plain2 plain3 plain4; do
		[ "$(docker inspect -f '{{.State.Running}}' "$h" 2>/dev/null)" = true ] || up=
	done
	[ -n "$up" ] && [ -f "$BENCH_INVENTORY" ] || testdata/lab/lab.sh plain 4 >/dev/null
	export BENCH_INVENTORY
}

program=$(mktemp -d)
trap 'rm -rf "$program"' EXIT
go build -o "$program/bench" ./testdata/bench
export BENCH_ORCH=$root/bin/orch BENCH_HOME=$here
for part in $parts; do
	case $part in
	site) peers; hosts; "$program/bench" site ;;
	kube) printf '\n== kube: the cluster modules beside kubernetes.core and kubectl\n'; "$here/kube.sh" ;;
	jinja)
		printf '\n== jinja: expressions and templates beside CPython\n'
		"$here/jinja.sh" ;;
	*) "$program/bench" "$part" ;;
	esac
done
