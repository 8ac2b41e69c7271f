#!/usr/bin/env bash
# The lab: five Debian hosts with systemd, sshd and addresses of their own, in containers.
#
#   lab.sh up       make it or bring it back (idempotent); prints the state folder
#   lab.sh down     stop and remove everything the lab started
#   lab.sh reset H  give host H a fresh file system
#   lab.sh plain N  N further hosts like web1 with fresh file systems, for measuring;
#                   0 removes them; prints their inventory
#   lab.sh status
#
# The hosts differ on purpose:
#   web1  plain: python3, sudo without password for "orch"
#   web2  plain; /home is mounted noexec
#   db1   no python3; user "ops" needs a password for sudo; has postgres and nobody
#   app1  the login shell of "orch" is csh; sshd offers no SFTP
#   new1  a newer Debian; sshd takes passwords as answers to questions only
#
# Everything the lab keeps is under the user's cache folder: root file systems named by
# the hash of what they are made of, and the state folder with key, known_hosts and
# inventory. It needs root, and installs the Debian packages it needs.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/orch/lab
state=$cache/state
hosts="web1 web2 db1 app1 new1"
subnet=172.30.77.0/24
declare -A addr=([web1]=172.30.77.11 [web2]=172.30.77.12 [db1]=172.30.77.13 [app1]=172.30.77.14 [new1]=172.30.77.15)

say() { echo "lab: $*" >&2; }
die() { say "$*"; exit 1; }

packages() {
	local want="docker.io debootstrap iptables iproute2 openssh-client zstd" missing=""
	for p in $want; do dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing="$missing $p"; done
	[ -z "$missing" ] && return
	[ "$(id -u)" = 0 ] || die "needs root to install$missing"
	say "installing$missing"
	mkdir -p "$cache"; exec 8>"$cache/apt.lock"; flock 8 # the cluster may come up at the same time
	apt-get update -qq >/dev/null
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $missing >/dev/null
	exec 8>&-
}

docker_up() {
	docker info >/dev/null 2>&1 && return
	say "starting dockerd"
	mkdir -p "$state"
	# the daemon outlives this script and must hold neither its pipes nor its session
	setsid nohup dockerd >"$state/dockerd.log" 2>&1 </dev/null &
	echo $! >"$state/dockerd.pid"
	for _ in $(seq 60); do docker info >/dev/null 2>&1 && return; sleep 0.5; done
	tail -n 20 "$state/dockerd.log" >&2
	die "dockerd did not start"
}

# mirror prints the mirror this machine itself uses.
mirror() {
	awk '$1=="URIs:" && $2 ~ /debian$/ {print $2; exit} $1=="deb" && $2 ~ /debian$/ {print $2; exit}' \
		/etc/apt/sources.list.d/*.sources /etc/apt/sources.list 2>/dev/null | head -n 1
}

# rootfs SUITE EXTRA prints the tag of an image with that Debian, building it if needed.
rootfs() {
	local suite=$1 extra=$2 key tag tar
	key=$(printf '%s\n' "$suite" "$extra" "$(cat "$here/Dockerfile")" | sha256sum | cut -c1-12)
	tag=orch-lab-$suite:$key tar=$cache/$suite-$key.tar.zst
	if ! docker image inspect "$tag" >/dev/null 2>&1; then
		if [ ! -s "$tar" ]; then
			say "bootstrapping $suite (a minute or two)"
			local root; root=$(mktemp -d)
			debootstrap --variant=minbase \
				--include="openssh-server,sudo,systemd,systemd-sysv,dbus,iproute2,ca-certificates,cron,acl,locales,procps,openssl$extra" \
				"$suite" "$root" "$(mirror)" >"$cache/debootstrap.log" 2>&1 || { tail -n 5 "$cache/debootstrap.log" >&2; die "debootstrap $suite failed"; }
			rm -rf "$root"/var/cache/apt/archives/*.deb
			tar -C "$root" -c . | zstd -q -3 -o "$tar.part" && mv "$tar.part" "$tar"
			rm -rf "$root"
		fi
		say "importing $suite"
		zstd -q -dc "$tar" | docker import - "orch-lab-base:$suite-$key" >/dev/null
		docker build -q --network=none -t "$tag" --build-arg "BASE=orch-lab-base:$suite-$key" "$here" >/dev/null 2>&1 ||
			DOCKER_BUILDKIT=0 docker build -q -t "$tag" --build-arg "BASE=orch-lab-base:$suite-$key" "$here" >/dev/null
	fi
	echo "$tag"
}

start() {
	local h=$1 image=$2 kind=${3:-host}
	case $(docker inspect -f '{{.State.Status}} {{.Config.Image}}' "$h" 2>/dev/null || true) in
	"running $image") return ;;
	"") ;;
	*) docker rm -f "$h" >/dev/null ;;
	esac
	local extra=()
	# /home of its own, so that noexec can be real
	[ "$h" = web2 ] && extra=(--tmpfs /home:noexec,mode=755)
	docker run -d --name "$h" --hostname "$h" --network orch-lab --ip "${addr[$h]}" \
		--cap-add SYS_ADMIN --tmpfs /run --tmpfs /tmp:exec -v /sys/fs/cgroup:/sys/fs/cgroup:ro \
		"${extra[@]}" --label "orch-lab=$kind" "$image" >/dev/null
	setup "$h"
}

# setup makes host $1 what the table at the top says.
setup() {
	local h=$1 pub; pub=$(cat "$state/id_ed25519.pub")
	docker exec -i "$h" sh -s -- "$h" "$pub" <<'S'
set -e
h=$1 pub=$2
user() { # name shell
	id "$1" >/dev/null 2>&1 || useradd -m -s "$2" "$1"
	install -d -m 0700 -o "$1" -g "$1" "/home/$1" "/home/$1/.ssh"
	printf '%s\n' "$pub" >"/home/$1/.ssh/authorized_keys"
	chown "$1:" "/home/$1/.ssh/authorized_keys"; chmod 0600 "/home/$1/.ssh/authorized_keys"
}
shell=/bin/bash
[ "$h" = app1 ] && shell=/bin/csh
user orch $shell
user ops /bin/bash
echo 'root:root-secret' | chpasswd
echo 'ops:ops-secret' | chpasswd
echo 'orch:orch-secret' | chpasswd
echo 'orch ALL=(ALL:ALL) NOPASSWD: ALL' >/etc/sudoers.d/orch
echo 'ops ALL=(ALL:ALL) ALL' >/etc/sudoers.d/ops
chmod 0440 /etc/sudoers.d/*
id postgres >/dev/null 2>&1 || useradd -r -m -d /var/lib/postgresql -s /bin/bash postgres
install -d -m 0700 /root/.ssh; printf '%s\n' "$pub" >/root/.ssh/authorized_keys; chmod 0600 /root/.ssh/authorized_keys
[ "$h" = app1 ] && sed -i 's/^Subsystem.*sftp.*/# no sftp here/' /etc/ssh/sshd_config
[ "$h" = new1 ] && printf 'PasswordAuthentication no\nKbdInteractiveAuthentication yes\n' >/etc/ssh/sshd_config.d/lab.conf
ssh-keygen -A >/dev/null
sed -i 's/^#*MaxStartups.*/MaxStartups 500/' /etc/ssh/sshd_config
systemctl restart ssh 2>/dev/null || true
S
}

wait_ready() {
	for h in "$@"; do
		for i in $(seq 120); do
			case $(docker exec "$h" systemctl is-system-running 2>/dev/null || true) in running | degraded) break ;; esac
			[ "$i" = 120 ] && die "$h: systemd did not come up: $(docker logs "$h" 2>&1 | tail -n 5)"
			sleep 0.25
		done
		setup "$h"
	done
}

# known_hosts FILE HOST... writes the hosts' keys.
known_hosts() {
	local file=$1 h k; shift
	: >"$file.new"
	for h in "$@"; do
		for k in $(docker exec "$h" sh -c 'cat /etc/ssh/ssh_host_ed25519_key.pub /etc/ssh/ssh_host_ecdsa_key.pub /etc/ssh/ssh_host_rsa_key.pub' | awk '{print $1","$2}'); do
			echo "${addr[$h]} ${k/,/ }" >>"$file.new"
		done
	done
	mv "$file.new" "$file"
}

inventory() {
	{
		echo "[web]"; echo "web1 ansible_host=${addr[web1]}"; echo "web2 ansible_host=${addr[web2]}"
		echo "[db]"; echo "db1 ansible_host=${addr[db1]}"
		echo "[app]"; echo "app1 ansible_host=${addr[app1]}"; echo "new1 ansible_host=${addr[new1]}"
		echo "[all:vars]"
		echo "ansible_user=orch"
		echo "ansible_ssh_private_key_file=$state/id_ed25519"
		echo "ansible_ssh_common_args='-o UserKnownHostsFile=$state/known_hosts'"
	} >"$state/hosts.ini"
	# One file per host, for inventories that must not dial anywhere while the lab is down.
	mkdir -p "$state/addr"
	for h in $hosts; do echo "${addr[$h]}" >"$state/addr/$h"; done
}

up() {
	packages
	mkdir -p "$state"; chmod 0700 "$state"
	[ -f "$state/id_ed25519" ] || ssh-keygen -q -t ed25519 -N '' -C orch-lab -f "$state/id_ed25519"
	docker_up
	# Nothing meant for the lab may leave this machine, whatever becomes of its bridge.
	ip route replace unreachable "$subnet" metric 9999
	docker network inspect orch-lab >/dev/null 2>&1 || docker network create --subnet "$subnet" --label orch-lab=net orch-lab >/dev/null
	local plain bare new
	plain=$(rootfs bookworm ",python3,python3-apt,csh")
	bare=$(rootfs bookworm ",csh")
	new=$(rootfs trixie ",python3")
	start web1 "$plain"; start web2 "$plain"; start db1 "$bare"; start app1 "$plain"; start new1 "$new"
	wait_ready $hosts
	known_hosts "$state/known_hosts" $hosts
	inventory
	say "five hosts are up; inventory: $state/hosts.ini"
	echo "$state"
}

# plain COUNT replaces the hosts for measuring by COUNT fresh ones.
plain() {
	local n=$1 i names="" image
	[ -f "$state/hosts.ini" ] || die "the lab is down: lab.sh up"
	docker ps -aq --filter label=orch-lab=plain | xargs -r docker rm -f >/dev/null
	rm -f "$state/plain.ini" "$state/plain_known_hosts"
	[ "$n" -gt 0 ] || return 0
	image=$(docker inspect -f '{{.Config.Image}}' web1)
	for i in $(seq "$n"); do
		addr[plain$i]=172.30.77.$((100 + i)) names="$names plain$i"
		start "plain$i" "$image" plain
	done
	wait_ready $names
	known_hosts "$state/plain_known_hosts" $names
	{
		echo "[plain]"
		for i in $names; do echo "$i ansible_host=${addr[$i]}"; done
		echo "[plain:vars]"
		echo "ansible_user=root"
		echo "ansible_ssh_private_key_file=$state/id_ed25519"
		echo "ansible_ssh_common_args='-o UserKnownHostsFile=$state/plain_known_hosts'"
	} >"$state/plain.ini"
	echo "$state/plain.ini"
}

down() {
	if docker info >/dev/null 2>&1; then
		docker ps -aq --filter label=orch-lab | xargs -r docker rm -f >/dev/null
		docker network rm orch-lab >/dev/null 2>&1 || true
	fi
	if [ -f "$state/dockerd.pid" ]; then
		kill "$(cat "$state/dockerd.pid")" 2>/dev/null || true
		for _ in $(seq 40); do kill -0 "$(cat "$state/dockerd.pid")" 2>/dev/null || break; sleep 0.25; done
		rm -f "$state/dockerd.pid"
	fi
	ip route del unreachable "$subnet" metric 9999 2>/dev/null || true
	rm -rf "$state/hosts.ini" "$state/known_hosts" "$state/plain.ini" "$state/plain_known_hosts" "$state/addr"
}

case ${1:-} in
up) up ;;
down) down ;;
reset) h=${2:?host}; image=$(docker inspect -f '{{.Config.Image}}' "$h"); docker rm -f "$h" >/dev/null; start "$h" "$image"; wait_ready "$h"; known_hosts "$state/known_hosts" $hosts; inventory ;;
plain) plain "${2:?how many}" ;;
status) docker ps --filter label=orch-lab --format '{{.Names}}\t{{.Status}}' ;;
*) echo "usage: lab.sh up | down | reset HOST | plain N | status" >&2; exit 64 ;;
esac
