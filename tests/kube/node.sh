#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# A node as kube-proxy leaves it after the mode ipvs, and beside it what others have. Run in the lab's kernel.
#   sh node.sh prepare DIRECTORY          fill tables and sets; DIRECTORY gets iptables commands that work there
#   sh node.sh prepare_ipv4 DIRECTORY     the same without IPv6 and without rules, so that iptables-save prints nothing and ip6tables-save is not there
#   sh node.sh answer ADDRESS MODE        be the kube-proxy that answers there, on its usual port, with its mode
#   sh node.sh show                       print them
set -eu

prepare_ipv4() {
    for part in "" -save -restore; do
        ln -s "$(command -v "iptables-legacy$part")" "$1/iptables$part"
    done
    rm "$(command -v ip6tables-save)" # the lab's copy of the file system
    ip link set lo up
    modprobe -a ip_vs ip_vs_rr dummy
    ip link add kube-ipvs0 type dummy
    ip address add 203.0.113.1/32 dev kube-ipvs0
    ipvsadm --restore <<-RULES
	-A -t 203.0.113.1:443 -s rr
	-A -t 198.51.100.99:30080 -s rr
	RULES
    ipset create KUBE-CLUSTER-IP hash:ip,port
}

answer() {
    mkdir /run/answer
    echo "$2" >/run/answer/proxyMode
    python3 -m http.server --bind "$(echo "$1" | tr -d '[]')" --directory /run/answer 10249 >/dev/null 2>&1 &
    until curl --silent --fail --output /dev/null --globoff "http://$1:10249/proxyMode"; do
        kill -0 $!
    done
}

prepare() {
    # The lab's kernel has no nf_tables for IP.
    for family in iptables ip6tables; do
        for part in "" -save -restore; do
            ln -s "$(command -v "$family-legacy$part")" "$1/$family$part"
        done
    done
    ip link set lo up
    modprobe -a ip_vs ip_vs_rr dummy
    ip link add eth7 type dummy
    ip link set eth7 up
    ip address add 198.51.100.7/24 dev eth7
    ip link add kube-ipvs0 type dummy
    for address in 203.0.113.1/32 203.0.113.10/32 2001:db8:1::10/128; do
        ip address add "$address" dev kube-ipvs0
    done
    # kube-proxy's: two cluster addresses, one of IPv6, a node port.
    ipvsadm --restore <<-RULES
	-A -t 203.0.113.1:443 -s rr
	-a -t 203.0.113.1:443 -r 198.51.100.20:6443 -m
	-A -u 203.0.113.10:53 -s rr
	-A -t [2001:db8:1::10]:53 -s rr
	-A -t 198.51.100.7:30080 -s rr
	-a -t 198.51.100.7:30080 -r 198.51.100.22:80 -m
	RULES
    ipset create KUBE-CLUSTER-IP hash:ip,port
    ipset create KUBE-6-CLUSTER-IP hash:ip,port family inet6
    ipset create KUBE-NODE-PORT-TCP bitmap:port range 0-65535
    ipset add KUBE-NODE-PORT-TCP 30080
    iptables-legacy -t nat -N KUBE-SERVICES
    iptables-legacy -t nat -A PREROUTING -j KUBE-SERVICES
    iptables-legacy -t nat -A KUBE-SERVICES -m comment --comment "Kubernetes service cluster ip + port" \
        -m set --match-set KUBE-CLUSTER-IP dst,dst -j ACCEPT
    iptables-legacy -A INPUT -m set --match-set KUBE-NODE-PORT-TCP dst -j ACCEPT
    ip6tables-legacy -A INPUT -m set --match-set KUBE-6-CLUSTER-IP dst,dst -j ACCEPT
    # Of others: another port of the node, the node port's number on another address, a firewall mark, a set and its rule.
    ipvsadm --restore <<-RULES
	-A -t 198.51.100.7:8080 -s rr
	-a -t 198.51.100.7:8080 -r 198.51.100.30:80 -m
	-A -t 198.51.100.99:30080 -s rr
	-A -f 7 -s rr
	RULES
    ipset create OURS hash:ip
    iptables-legacy -A INPUT -m set --match-set OURS src -j ACCEPT
}

show() {
    ipvsadm --save --numeric | sort
    ipset list -name | sort
    { iptables-legacy-save && ip6tables-legacy-save; } | grep -- '^-A' | sort
    test ! -e /sys/class/net/kube-ipvs0 || echo kube-ipvs0
}

"$@"
