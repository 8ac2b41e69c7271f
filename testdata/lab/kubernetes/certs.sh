#!/usr/bin/env bash
# certs.sh DIR API-PORT NODE NODE-IP SERVICE-IP: a CA, a certificate for each component, the
# service accounts' key and a kubeconfig for each client. What is there is kept.
set -euo pipefail
dir=$1 port=$2 node=$3 ip=$4 service=$5
mkdir -p "$dir"; cd "$dir"
[ -f admin.kubeconfig ] && exit 0

key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key" 2>/dev/null; }
cert() { # name subject alternative-names
	key "$1"
	openssl req -new -key "$1.key" -subj "$2" -out "$1.csr"
	openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 3650 -out "$1.crt" \
		-extfile <(printf 'extendedKeyUsage=serverAuth,clientAuth\nkeyUsage=critical,digitalSignature\nsubjectAltName=%s\n' "${3:-DNS:none.invalid}") 2>/dev/null
	rm "$1.csr"
}

key ca
openssl req -x509 -new -key ca.key -days 3650 -subj /CN=orch-lab-ca -out ca.crt \
	-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign,digitalSignature
cert apiserver /CN=kube-apiserver "DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,IP:127.0.0.1,IP:$service,IP:$ip"
cert kubelet-client /O=system:masters/CN=kube-apiserver-kubelet-client
cert front-proxy-client /CN=front-proxy-client
cert admin /O=system:masters/CN=admin
cert developer /O=developers/CN=developer
cert controller-manager /CN=system:kube-controller-manager
cert scheduler /CN=system:kube-scheduler
cert kubelet "/O=system:nodes/CN=system:node:$node" "DNS:$node,DNS:localhost,IP:127.0.0.1,IP:$ip"
openssl genrsa -out sa.key 2048 2>/dev/null
openssl rsa -in sa.key -pubout -out sa.pub 2>/dev/null
for user in developer controller-manager scheduler kubelet admin; do # admin last: it marks the end
	cat >"$user.kubeconfig" <<K
apiVersion: v1
kind: Config
current-context: $node
clusters: [{name: $node, cluster: {server: "https://127.0.0.1:$port", certificate-authority: $dir/ca.crt}}]
users: [{name: $user, user: {client-certificate: $dir/$user.crt, client-key: $dir/$user.key}}]
contexts: [{name: $node, context: {cluster: $node, user: $user}}]
K
done
