#!/bin/bash
# targets.sh: run integration targets of an ansible checkout with orch and with Ansible,
# and print both side by side with their time.
#
#   ORCH_TARGETS_RUNNER=… ORCH_ANSIBLE=… testdata/conformance/targets.sh SRC OUT [TARGET…]
#
# SRC is the checkout, OUT a folder for results and logs. ORCH_TARGETS_RUNNER is called as
# RUNNER SRC BINDIR OUT TARGET… and writes "target, exit code, seconds" to OUT/results.tsv.
# ORCH_ANSIBLE is the folder of Ansible's commands. Without targets, those of class
# ${CLASS:-A0} in the list beside the runner (RUNNER.tsv) are run.
set -euo pipefail
src=$1 out=$2
shift 2
: "${ORCH_TARGETS_RUNNER:?names the program that runs targets}" "${ORCH_ANSIBLE:?names the folder of ansible-playbook and its kin}"
[ $# -gt 0 ] || mapfile -t targets < <(awk -F'\t' -v class="${CLASS:-A0}" '$1 == class { print $2 }' "$ORCH_TARGETS_RUNNER.tsv")
[ $# -eq 0 ] || targets=("$@")

root=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$out/bin"
[ -x "$root/bin/orch" ] || { echo "there is no bin/orch: make build" >&2; exit 1; }
"$root/bin/orch" link-ansible "$out/bin" >/dev/null

# run NAME BINDIR: one target at a time, so that the CPU seconds of each are known.
run() {
	mkdir -p "$out/$1"
	: >"$out/$1/times.tsv"
	rm -f "$out/$1/results.tsv"
	for t in "${targets[@]}"; do
		# bash's own keyword measures the children too.
		TIMEFORMAT="$t	%R	%U	%S"
		{ time "$ORCH_TARGETS_RUNNER" "$src" "$2" "$out/$1" "$t" >/dev/null 2>"$out/$1/stderr" || true; } 2>>"$out/$1/times.tsv"
	done
}
run ansible "$ORCH_ANSIBLE"
run orch "$out/bin"

awk -F'\t' '
	FILENAME ~ /results.tsv$/ { rc[FILENAME ~ /\/orch\//, $1] = $2; next }
	FNR == 1 { orch = FILENAME ~ /\/orch\// }
	{ wall[orch, $1] = $2; cpu[orch, $1] = $3 + $4; w[orch] += $2; c[orch] += $3 + $4
	  if (!orch) order[++n] = $1 }
	END {
		printf "%-34s %22s %22s\n", "", "ansible-core", "orch"
		printf "%-34s %6s %7s %7s %6s %7s %7s\n", "target", "exit", "wall s", "cpu s", "exit", "wall s", "cpu s"
		for (i = 1; i <= n; i++) {
			t = order[i]
			printf "%-34s %6s %7.1f %7.1f %6s %7.1f %7.1f\n", t, rc[0, t], wall[0, t], cpu[0, t], rc[1, t], wall[1, t], cpu[1, t]
		}
		printf "%-34s %6s %7.1f %7.1f %6s %7.1f %7.1f\n", "total", "", w[0], c[0], "", w[1], c[1]
	}' "$out"/ansible/results.tsv "$out"/orch/results.tsv "$out"/ansible/times.tsv "$out"/orch/times.tsv
