#!/usr/bin/env bash
# A real cluster of one node on this machine: etcd, API server, controller manager,
# scheduler and kubelet out of one binary (src/), Debian's containerd, and a registry.
#
#   cluster.sh up      make it or bring it back (idempotent); prints the state folder
#   cluster.sh second  the same for another cluster beside it, with an etcd, a control plane
#                      and a node of its own, and the first one's registry
#   cluster.sh down    stop everything, both clusters, and leave nothing behind
#   cluster.sh restart-api   restart the API server
#   cluster.sh spare-api     start, or kill and restart, a second API server on the same
#                            etcd (for tests of broken waits that must disturb nobody)
#
# The state folder has admin.kubeconfig, developer.kubeconfig (a user without rights),
# spare.kubeconfig (the second API server), both.kubeconfig (contexts "lab" and "lab-two":
# this cluster and the second one) and registry.addr (the registry's address). The binary
# is built once per machine and kept under the user's cache folder by the hash of what it
# is built from.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/orch/lab
lab=$cache/cluster run=/run/orch-lab first=$cache/cluster
node=lab api=6443 spare=6444 etcd=23790 registry=5055
bridge=orchlab0 podnet=10.244.0.0/24 nodeip=10.244.0.1 svcnet=10.96.0.0/16 svcip=10.96.0.1
cgroup="" healthz=10248 secure=()
if [ -n "${ORCH_LAB_SECOND:-}" ]; then # set by this script for itself
	lab=$cache/cluster-two run=/run/orch-lab-two
	node=lab-two api=6543 spare=6544 etcd=23890
	bridge=orchlab1 podnet=10.245.0.0/24 nodeip=10.245.0.1 svcnet=10.97.0.0/16 svcip=10.97.0.1
	# Two kubelets remove one another's pods from a cgroup they share.
	cgroup=/orch-lab-two healthz=0 secure=(--secure-port=0)
fi
pki=$lab/pki
export KUBECONFIG=$pki/admin.kubeconfig

say() { echo "cluster: $*" >&2; }
die() { say "$*"; exit 1; }

packages() {
	local missing=""
	for p in containerd runc containernetworking-plugins docker-registry iptables iproute2 openssl gcc libc6-dev; do
		dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing="$missing $p"
	done
	[ -z "$missing" ] && return
	say "installing$missing"
	mkdir -p "$cache"; exec 8>"$cache/apt.lock"; flock 8 # the lab's hosts may come up at the same time
	apt-get update -qq >/dev/null
	# docker.io's containerd and containerd.io exclude one another: whichever is there stays
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $missing >/dev/null
	systemctl disable --now docker-registry >/dev/null 2>&1 || true
	exec 8>&-
}

# binary builds the programs. No inlining and no debug information: a third less CPU.
binary() {
	local key v minor flags=""
	key=$(cat "$here"/src/go.mod "$here"/src/go.sum "$here"/src/k8slab/*.go | sha256sum | cut -c1-12)
	bin=$cache/k8slab-$key/k8slab
	[ -x "$bin" ] && return
	say "building the control plane (once, some minutes)"
	mkdir -p "$(dirname "$bin")"
	v=$(awk '$1=="k8s.io/kubernetes" && $2 ~ /^v1/ {print $2; exit}' "$here/src/go.mod"); minor=$(cut -d. -f2 <<<"$v")
	# without a version the server calls itself v0.0.0, which kubectl cannot parse
	for p in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
		flags="$flags -X $p.gitVersion=$v -X $p.gitMajor=1 -X $p.gitMinor=$minor"
	done
	(cd "$here/src" && CGO_ENABLED=0 GOFLAGS= nice go build -trimpath -buildvcs=false -gcflags='all=-l -dwarf=false' \
		-ldflags "-s -w $flags" -o "$bin.part" ./k8slab)
	mv "$bin.part" "$bin"
	ln -sf k8slab "$(dirname "$bin")/kubectl"
}

start() { # name command…: in a session of its own, its pid kept; running ones are left alone
	local name=$1; shift
	alive "$name" && return
	setsid nohup "$@" >>"$lab/log/$name.log" 2>&1 </dev/null &
	echo $! >"$lab/pid/$name"
}
alive() { [ -f "$lab/pid/$1" ] && kill -0 "$(cat "$lab/pid/$1")" 2>/dev/null; }
await() { # seconds what command…
	local t=$1 what=$2 end; shift 2; end=$((SECONDS + t))
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || { tail -n 5 "$lab/log/"*.log >&2; die "$what is not ready after $t s"; }
		sleep 0.1
	done
}
kubectl() { "$bin" kubectl "$@"; }

apiserver() { # name port
	start "$1" "$bin" kube-apiserver --etcd-servers=http://127.0.0.1:$etcd \
		--bind-address=127.0.0.1 --secure-port="$2" --advertise-address=$nodeip --service-cluster-ip-range=$svcnet \
		--tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" --client-ca-file="$pki/ca.crt" \
		--kubelet-client-certificate="$pki/kubelet-client.crt" --kubelet-client-key="$pki/kubelet-client.key" \
		--kubelet-certificate-authority="$pki/ca.crt" --kubelet-preferred-address-types=InternalIP,Hostname \
		--service-account-issuer=https://kubernetes.default.svc --service-account-key-file="$pki/sa.pub" \
		--service-account-signing-key-file="$pki/sa.key" --authorization-mode=Node,RBAC \
		--enable-admission-plugins=NodeRestriction --allow-privileged=true \
		--requestheader-client-ca-file="$pki/ca.crt" --requestheader-allowed-names=front-proxy-client \
		--requestheader-username-headers=X-Remote-User --requestheader-group-headers=X-Remote-Group \
		--requestheader-extra-headers-prefix=X-Remote-Extra- --proxy-client-cert-file="$pki/front-proxy-client.crt" \
		--proxy-client-key-file="$pki/front-proxy-client.key" --endpoint-reconciler-type=none
	await 180 "the API server" kubectl --server="https://127.0.0.1:$2" get --raw /readyz
}

control_plane() {
	"$here/certs.sh" "$pki" $api $node $nodeip $svcip
	start etcd "$bin" etcd --name lab --data-dir "$lab/etcd" --unsafe-no-fsync --log-level warn \
		--listen-client-urls http://127.0.0.1:$etcd --advertise-client-urls http://127.0.0.1:$etcd \
		--listen-peer-urls http://127.0.0.1:$((etcd + 1)) --initial-advertise-peer-urls http://127.0.0.1:$((etcd + 1)) \
		--initial-cluster lab=http://127.0.0.1:$((etcd + 1))
	apiserver kube-apiserver $api
	start kube-controller-manager "$bin" kube-controller-manager --kubeconfig="$pki/controller-manager.kubeconfig" \
		--bind-address=127.0.0.1 --leader-elect=false --use-service-account-credentials=true \
		--service-account-private-key-file="$pki/sa.key" --root-ca-file="$pki/ca.crt" --cluster-signing-cert-file="$pki/ca.crt" \
		--cluster-signing-key-file="$pki/ca.key" --flex-volume-plugin-dir="$lab/flex" \
		--enable-hostpath-provisioner --kube-api-qps=300 --kube-api-burst=600 "${secure[@]}"
	start kube-scheduler "$bin" kube-scheduler --kubeconfig="$pki/scheduler.kubeconfig" --bind-address=127.0.0.1 --leader-elect=false "${secure[@]}"
	await 120 "the default service account" kubectl -n default get serviceaccount default
}

network() {
	# The pods' bridge comes before the first pod: a kubelet refuses a loopback node address.
	ip link show $bridge >/dev/null 2>&1 || ip link add $bridge type bridge
	ip addr replace $nodeip/24 dev $bridge; ip link set $bridge up
	# A docker daemon sets FORWARD to DROP, and bridged packets pass it.
	iptables -w -C FORWARD -i $bridge -o $bridge -j ACCEPT 2>/dev/null || iptables -w -I FORWARD -i $bridge -o $bridge -j ACCEPT
	# Nothing meant for a pod or a service may leave this machine.
	ip route replace unreachable $podnet metric 9999
	ip route replace unreachable $svcnet
}

registry() {
	mkdir -p "$lab/registry"
	cat >"$lab/registry.yml" <<Y
version: 0.1
log: {level: warn}
storage: {filesystem: {rootdirectory: $lab/registry}, delete: {enabled: true}}
http: {addr: "127.0.0.1:$registry"}
Y
	start registry docker-registry serve "$lab/registry.yml"
	await 60 "the registry" bash -c "exec 3<>/dev/tcp/127.0.0.1/$registry"
}

containerd_conf() {
	mkdir -p "$lab/cni" "$lab/certs.d/_default" "$lab/containerd" "$lab/kubelet"
	cat >"$lab/cni/10-lab.conflist" <<J
{"cniVersion":"0.4.0","name":"lab","plugins":[
 {"type":"bridge","bridge":"$bridge","isGateway":true,"ipMasq":false,"hairpinMode":true,
  "ipam":{"type":"host-local","dataDir":"$lab/cni-ipam","ranges":[[{"subnet":"$podnet"}]],"routes":[{"dst":"$svcnet"}]}},
 {"type":"portmap","capabilities":{"portMappings":true}}]}
J
	# Every image, whatever its registry is called, comes from the lab's own and from nowhere else.
	printf 'server = "http://127.0.0.1:%s"\n[host."http://127.0.0.1:%s"]\n  capabilities = ["pull", "resolve"]\n' \
		$registry $registry >"$lab/certs.d/_default/hosts.toml"
	cat >"$lab/containerd.toml" <<T
version = 2
root = "$lab/containerd"
state = "$run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs","io.containerd.snapshotter.v1.zfs","io.containerd.snapshotter.v1.aufs","io.containerd.snapshotter.v1.devmapper"]
[grpc]
  address = "$run/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "$lab/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "orch-lab/pause:1"
  restrict_oom_score_adj = true   # root may lack CAP_SYS_RESOURCE
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$lab/cni"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "$lab/certs.d"
T
}

worker() {
	containerd_conf
	start containerd containerd --config "$lab/containerd.toml"
	if [ ! -f "$lab/pause.tar" ]; then
		mkdir -p "$lab/pause-root"
		gcc -Os -static -s -o "$lab/pause-root/pause" "$here/pause.c"
		"$here/image.sh" "$lab/pause.tar" docker.io/orch-lab/pause:1 "$lab/pause-root" '["/pause"]'
	fi
	await 60 containerd ctr -a "$run/containerd.sock" version
	ctr -a "$run/containerd.sock" -n k8s.io images import "$lab/pause.tar" >/dev/null
	: >"$lab/resolv.conf"
	[ -z "$cgroup" ] || cgroups
	cat >"$lab/kubelet.yaml" <<K
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $nodeip
healthzBindAddress: 127.0.0.1
healthzPort: $healthz
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $pki/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $pki/kubelet.crt
tlsPrivateKeyFile: $pki/kubelet.key
containerRuntimeEndpoint: unix://$run/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: ${cgroup:-/}
failCgroupV1: false
failSwapOn: false
maxOpenFiles: 20000
makeIPTablesUtilChains: false
resolvConf: $lab/resolv.conf
clusterDNS: [10.96.0.10]
clusterDomain: cluster.local
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
evictionHard: {memory.available: 100Mi, nodefs.available: 200Mi, imagefs.available: 200Mi}
evictionPressureTransitionPeriod: 5s
nodeStatusUpdateFrequency: 2s
syncFrequency: 10s
registerNode: true
podLogsDir: $lab/podlogs
volumePluginDir: $lab/flex
shutdownGracePeriod: 0s
K
	start kubelet "$bin" kubelet --kubeconfig="$pki/kubelet.kubeconfig" --config="$lab/kubelet.yaml" \
		--root-dir="$lab/kubelet" --hostname-override=$node --node-ip=$nodeip --cert-dir="$lab/kubelet/pki" --v=2
	await 180 "the node" bash -c "'$bin' kubectl get node $node -o jsonpath='{.status.conditions[?(@.type==\"Ready\")].status}' | grep -q True"
}

# cgroups makes the node's own root; a cpuset of version 1 starts out empty.
cgroups() {
	local h
	for h in /sys/fs/cgroup /sys/fs/cgroup/*; do
		[ -e "$h/cgroup.procs" ] || continue
		[ $h = /sys/fs/cgroup ] || [ ! -e /sys/fs/cgroup/cgroup.controllers ] || continue # version 2
		mkdir -p "$h$cgroup"
		[ ! -e "$h/cpuset.cpus" ] || { cat "$h/cpuset.cpus" >"$h$cgroup/cpuset.cpus"; cat "$h/cpuset.mems" >"$h$cgroup/cpuset.mems"; } 2>/dev/null || true
	done
}

# both writes a kubeconfig with a context for each of the two clusters.
both() {
	cat >"$first/both.kubeconfig" <<K
apiVersion: v1
kind: Config
current-context: lab
clusters:
- {name: lab, cluster: {server: "https://127.0.0.1:6443", certificate-authority: $first/pki/ca.crt}}
- {name: lab-two, cluster: {server: "https://127.0.0.1:$api", certificate-authority: $pki/ca.crt}}
users:
- {name: lab, user: {client-certificate: $first/pki/admin.crt, client-key: $first/pki/admin.key}}
- {name: lab-two, user: {client-certificate: $pki/admin.crt, client-key: $pki/admin.key}}
contexts:
- {name: lab, context: {cluster: lab, user: lab}}
- {name: lab-two, context: {cluster: lab-two, user: lab-two}}
K
}

# storage makes PersistentVolumeClaims bind: the controller manager makes host folders.
storage() {
	kubectl apply -f - >/dev/null <<K || die "cannot make the storage class"
{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: lab, annotations: {storageclass.kubernetes.io/is-default-class: "true"}}, provisioner: kubernetes.io/host-path, volumeBindingMode: WaitForFirstConsumer}
K
}

up() {
	[ "$(id -u)" = 0 ] || die "needs root"
	packages; binary
	mkdir -p "$lab/log" "$lab/pid" "$run"
	control_plane; network
	[ -n "$cgroup" ] || registry
	worker; storage
	[ -z "$cgroup" ] || both
	ln -sf "$pki/admin.kubeconfig" "$lab/admin.kubeconfig"
	echo "127.0.0.1:$registry" >"$lab/registry.addr"
	ln -sf "$pki/developer.kubeconfig" "$lab/developer.kubeconfig"
	ln -sf "$bin" "$lab/kubectl"
	say "one node is ready; kubeconfig: $lab/admin.kubeconfig"
	echo "$lab"
}

stop() { # signal names…
	local sig=$1 p; shift
	for n in "$@"; do
		alive "$n" || { rm -f "$lab/pid/$n"; continue; }
		p=$(cat "$lab/pid/$n"); kill "-$sig" "$p" 2>/dev/null || true
		for _ in $(seq 100); do kill -0 "$p" 2>/dev/null || break; sleep 0.1; done
		kill -KILL "$p" 2>/dev/null || true
		rm -f "$lab/pid/$n"
	done
}

down() {
	[ -d "$lab" ] || return 0
	stop KILL kube-scheduler kube-controller-manager kube-apiserver kube-apiserver-spare etcd registry
	stop TERM kubelet
	if alive containerd; then
		local c="ctr -a $run/containerd.sock -n k8s.io"
		for t in $($c tasks ls -q); do $c tasks kill -s KILL -a "$t" 2>/dev/null || true; done
		sleep 0.5
		for t in $($c tasks ls -q); do $c tasks rm -f "$t" >/dev/null 2>&1 || true; done
		stop TERM containerd
	fi
	{ grep -oE " ($lab|$run)/[^ ]+" /proc/self/mountinfo || true; } | sort -r | while read -r m; do umount -l "$m" 2>/dev/null || true; done
	iptables -w -D FORWARD -i $bridge -o $bridge -j ACCEPT 2>/dev/null || true
	ip route del $svcnet 2>/dev/null || true
	ip route del unreachable $podnet metric 9999 2>/dev/null || true
	ip link del $bridge 2>/dev/null || true
	for h in /sys/fs/cgroup{,/*}${cgroup:-/kubepods}; do find "$h" -depth -type d -exec rmdir {} + 2>/dev/null || true; done
	rm -rf "$run" /var/lib/cni/results/lab-* /tmp/hostpath_pv "$lab"
	[ ! -d /var/log/containers ] || find /var/log/containers -xtype l -delete
}

case ${1:-} in
up) up ;;
second) ORCH_LAB_SECOND=1 "$0" up ;;
down)
	[ -n "${ORCH_LAB_SECOND:-}" ] || ORCH_LAB_SECOND=1 "$0" down
	down ;;
restart-api) binary; stop KILL kube-apiserver; apiserver kube-apiserver $api ;;
spare-api)
	binary; stop KILL kube-apiserver-spare; apiserver kube-apiserver-spare $spare
	sed "s/:$api/:$spare/" "$pki/admin.kubeconfig" >"$lab/spare.kubeconfig" ;;
*) echo "usage: cluster.sh up | second | down | restart-api | spare-api" >&2; exit 64 ;;
esac
