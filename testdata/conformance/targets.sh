#!/bin/bash
# targets.sh: run integration targets of an ansible checkout with Ansible and with orch, and
# print both side by side with their time.
#
#   ORCH_TARGETS_RUNNER=… ORCH_ANSIBLE=… testdata/conformance/targets.sh SRC OUT [TARGET…]
#
# SRC is the checkout, OUT a folder for results and logs. ORCH_TARGETS_RUNNER is called as
# RUNNER SRC BINDIR OUT TARGET… and writes "target, exit code, seconds" to OUT/results.tsv.
# ORCH_ANSIBLE is the folder of Ansible's commands. Without targets, those of class
# ${CLASS:-A0} in the list beside the runner (RUNNER.tsv) are run. ORCH_BIN is the orch to
# run; otherwise that of make build.
#
# A target is run by both, one after the other, so that the load of the machine is the same
# for both. Stopped by Ctrl-C or TERM, the script prints what both have done; run again with
# the same OUT, it goes on where it stopped.
set -euo pipefail
src=$1 out=$(realpath -m "$2")
shift 2
: "${ORCH_TARGETS_RUNNER:?names the program that runs targets}" "${ORCH_ANSIBLE:?names the folder of ansible-playbook and its kin}"
[ $# -gt 0 ] || mapfile -t targets < <(awk -F'\t' -v class="${CLASS:-A0}" '$1 == class { print $2 }' "$ORCH_TARGETS_RUNNER.tsv")
[ $# -eq 0 ] || targets=("$@")

root=$(cd "$(dirname "$0")/../.." && pwd)
orch=${ORCH_BIN:-$root/bin/orch}
[ -x "$orch" ] || { echo "there is no $orch: make build" >&2; exit 1; }
mkdir -p "$out/bin" "$out/ansible" "$out/orch"
# A copy: a build meanwhile does not change what is measured.
[ -x "$out/bin/orch" ] || cp "$orch" "$out/bin/orch"
"$out/bin/orch" link-ansible "$out/bin" >/dev/null
touch "$out"/{ansible,orch}/{times,results}.tsv

# run NAME BINDIR TARGET runs one target, unless it has been run.
run() {
	! cut -f1 "$out/$1/times.tsv" | grep -qxF "$3" || return 0
	# bash's own keyword measures the children too.
	TIMEFORMAT="$3	%R	%U	%S"
	{ time "$ORCH_TARGETS_RUNNER" "$src" "$2" "$out/$1" "$3" >/dev/null 2>"$out/$1/stderr" || true; } 2>>"$out/$1/times.tsv"
}

report() {
	trap - EXIT
	awk -F'\t' '
	FNR == 1 { file++ }
	file <= 2 { rc[FILENAME ~ /\/orch\/results/, $1] = $2; next }
	{ orch = FILENAME ~ /\/orch\/times/; wall[orch, $1] = $2; cpu[orch, $1] = $3 + $4
	  if (!orch) order[++n] = $1 }
	END {
		printf "%-34s %22s %22s\n", "", "ansible-core", "orch"
		printf "%-34s %6s %7s %7s %6s %7s %7s\n", "target", "exit", "wall s", "cpu s", "exit", "wall s", "cpu s"
		for (i = 1; i <= n; i++) {
			t = order[i]
			if (!((1, t) in wall) || !((0, t) in rc) || !((1, t) in rc)) continue
			printf "%-34s %6s %7.1f %7.1f %6s %7.1f %7.1f\n", t, rc[0, t], wall[0, t], cpu[0, t], rc[1, t], wall[1, t], cpu[1, t]
			for (o = 0; o < 2; o++) { w[o] += wall[o, t]; c[o] += cpu[o, t]; bad[o] += rc[o, t] != 0 }
			both++
		}
		printf "%-34s %6s %7.1f %7.1f %6s %7.1f %7.1f\n", both " targets, exit not 0", bad[0], w[0], c[0], bad[1], w[1], c[1]
	}' "$out"/ansible/results.tsv "$out"/orch/results.tsv "$out"/ansible/times.tsv "$out"/orch/times.tsv
}
trap report EXIT
trap 'exit 130' INT TERM
for t in "${targets[@]}"; do
	run ansible "$ORCH_ANSIBLE" "$t"
	run orch "$out/bin" "$t"
done
