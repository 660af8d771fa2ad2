#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# What kube-proxy in IPVS mode has on a node, and the port where it tells its mode.
set -eu
ip link show kube-ipvs0 >/dev/null 2>&1 || ip link add kube-ipvs0 type dummy
ip address replace 203.0.113.129/32 dev kube-ipvs0
printf '%s\n' '-A -t 203.0.113.129:443 -s rr' '-a -t 203.0.113.129:443 -r 198.51.100.1:6443 -m' | ipvsadm --restore
mkdir -p /run/kube-proxy
echo ipvs >/run/kube-proxy/proxyMode
exec python3 -m http.server --bind 127.0.0.1 --directory /run/kube-proxy 10249
