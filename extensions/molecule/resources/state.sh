#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# What the roles may change on a machine, as text. The ports and addresses that end in 99 are others', see takedown.yml.
# It fails where it cannot look: two empty states would be equal.
set -eu
for interface in eth0 eth1 lo; do
    ip -o address show dev "$interface" 2>/dev/null | awk '!/\.99\// {print $2, $3, $4}'
done
ip rule
ip -6 rule
ip -o link | awk -F': ' '$2 ~ /^ipvs/ {print $2}'
sysctl -a 2>/dev/null | grep -E '^net\.ipv[46]\.(ip_forward|conf\.(all|default|eth0|eth1|lo)\.(forwarding|arp_ignore|arp_announce|rp_filter|send_redirects)) '
# Packages stay, and Debian 13's ipvsadm enables its unit.
find /etc/modprobe.d /etc/modules-load.d /etc/sysctl.d /etc/systemd/system /etc/ipvs-* /usr/local/lib /opt ! -type d \
    ! -path '*.wants/ipvsadm.service' 2>/dev/null | sort
if [ -e /proc/net/ip_vs ]; then
    table=$(ipvsadm -S -n)
    echo "$table" | grep -v ':99 ' || test $? = 1
fi
if [ -e /etc/ipvsadm.rules ]; then
    grep '^[^#]' /etc/ipvsadm.rules || test $? = 1
fi
if [ -e /etc/default/ipvsadm ]; then
    grep '^AUTO="true"' /etc/default/ipvsadm || test $? = 1
fi
