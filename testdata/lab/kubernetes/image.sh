#!/usr/bin/env bash
# image.sh OUT.tar NAME:TAG ROOTFS '["/entrypoint"]': an archive of an image of one layer
# (docker save's layout), without a daemon.
set -euo pipefail
out=$1 ref=$2 root=$3 entrypoint=$4
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
tar -C "$root" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -cf "$tmp/layer.tar" .
diff=$(sha256sum "$tmp/layer.tar" | cut -d' ' -f1)
printf '{"architecture":"amd64","os":"linux","created":"1970-01-01T00:00:00Z","config":{"Entrypoint":%s,"Env":["PATH=/bin:/usr/bin:/sbin:/usr/sbin"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]},"history":[{"created":"1970-01-01T00:00:00Z"}]}' \
	"$entrypoint" "$diff" >"$tmp/config.json"
printf '[{"Config":"config.json","RepoTags":["%s"],"Layers":["layer.tar"]}]' "$ref" >"$tmp/manifest.json"
tar -C "$tmp" -cf "$out" manifest.json config.json layer.tar
