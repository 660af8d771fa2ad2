#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# The virtual addresses of this machine, and the routes and rules for answers of NAT; one line each.
set -eu
ip -o address show | awk '$4 ~ /[.:]8[0-9]\/(32|128)$/ {print $2, $4}' | sort
for family in -4 -6; do
    ip "$family" route show table 5198 2>/dev/null | awk -v f="$family" '{print f, $1, $2, $3, $4, $5}'
    ip "$family" rule show | awk -v f="$family" '$1 == "5198:" {print f, $3, $NF}'
done
ip -o link show up | awk -F': ' '$2 ~ /^(ipvs0|tunl0)/ {sub("@.*", "", $2); print $2, "up"}'
