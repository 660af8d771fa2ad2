#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Run on the machine that booted the image.
set -eux
systemctl is-system-running --wait
test -z "$(systemctl --failed --no-legend)"
grep -v '^#' /etc/modules-load.d/ipvs.conf | while read -r module; do
  grep -q "^$module " /proc/modules
done
# Loading on demand is off, so that only what is loaded counts.
echo /bin/false >/proc/sys/kernel/modprobe
port=1
for scheduler in rr wrr lc wlc lblc lblcr sh dh sed nq; do
  ipvsadm -A -t "198.51.100.200:$port" -s "$scheduler"
  port=$((port + 1))
done
test "$(ipvsadm -S -n | wc -l)" = 10
if ipvsadm -A -t 198.51.100.200:99 -s mh; then exit 1; fi
ipvsadm -C
echo /sbin/modprobe >/proc/sys/kernel/modprobe
