#!/usr/bin/env bash
# Measures the template language beside CPython's Jinja2 (python3-jinja2): both render and
# compile the same templates in turn, for BENCH_ROUNDS rounds (5) of BENCH_TIME (200ms)
# each; the table shows the best round.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export CGO_ENABLED=0 GOFLAGS="-trimpath -buildvcs=false"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$root/playbook/jinja"
go test -c -o "$work/jinja.test" .
for _ in $(seq "${BENCH_ROUNDS:-5}"); do
	for what in Render Expr Compile CPython; do
		"$work/jinja.test" -test.run '^$' -test.bench "^Benchmark$what" -test.benchtime "${BENCH_TIME:-200ms}"
	done
done | awk '
	function best(table, key, v) { if (!(key in table) || v < table[key]) table[key] = v }
	function show(us) { return us == "" ? "-" : sprintf(us < 10 ? "%.2f" : "%.1f", us) }
	/^Benchmark/ {
		split($1, name, "/"); sub(/-[0-9]+$/, "", name[2])
		kind = substr(name[1], 10); key = kind "/" name[2]
		if (kind !~ /^CPython/ && !(key in seen)) { seen[key] = 1; order[++n] = key }
		for (i = 3; i < NF; i += 2) {
			if ($(i+1) == "ns/op") best(ns, key, $i / 1000)
			if ($(i+1) == "B/op") best(bytes, key, $i)
			if ($(i+1) == "allocs/op") best(allocs, key, $i)
		}
	}
	END {
		printf "%-28s %12s %12s %8s %10s %8s\n", "", "CPython µs", "orch µs", "ratio", "B/op", "allocs"
		for (j = 1; j <= n; j++) {
			key = order[j]; split(key, part, "/")
			peer = (part[1] == "Compile" ? "CPythonCompile/" : "CPython/") part[2]
			printf "%-28s %12s %12s %8s %10d %8d\n", tolower(part[1]) " " part[2], show(ns[peer]), show(ns[key]),
				(peer in ns) ? sprintf("%.0f×", ns[peer] / ns[key]) : "-", bytes[key], allocs[key]
		}
	}'
