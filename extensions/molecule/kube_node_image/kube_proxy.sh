#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# What kube-proxy in IPVS mode leaves on a node with two services: its interface, ipsets, masquerading, and the table.
set -eu
ip link add kube-ipvs0 type dummy
ip address add 198.51.100.129/32 dev kube-ipvs0
ip address add 198.51.100.138/32 dev kube-ipvs0
ipset create KUBE-CLUSTER-IP hash:ip,port
ipset add KUBE-CLUSTER-IP 198.51.100.129,tcp:443
ipset add KUBE-CLUSTER-IP 198.51.100.138,tcp:53
ipset add KUBE-CLUSTER-IP 198.51.100.138,udp:53
iptables-legacy -t nat -N KUBE-POSTROUTING
iptables-legacy -t nat -A POSTROUTING -j KUBE-POSTROUTING
iptables-legacy -t nat -A KUBE-POSTROUTING -m mark --mark 0x4000/0x4000 -j MASQUERADE
ipvsadm -R <<'EOF'
-A -t 198.51.100.129:443 -s rr
-a -t 198.51.100.129:443 -r 203.0.113.10:6443 -m -w 1
-A -t 198.51.100.138:53 -s rr
-a -t 198.51.100.138:53 -r 203.0.113.21:53 -m -w 1
-a -t 198.51.100.138:53 -r 203.0.113.22:53 -m -w 1
-A -u 198.51.100.138:53 -s rr
-a -u 198.51.100.138:53 -r 203.0.113.21:53 -m -w 1
EOF
