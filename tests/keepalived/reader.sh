#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# reader.sh FOLDER, in network and mount namespaces of its own: for each line of its input, keepalived tests FOLDER/keepalived.conf.
# What it complains of goes to FOLDER/complaints, its exit status to the output.
set -eu
folder=$1

keepalived --version 2>&1
ip link add eth0 type veth peer name eth1
ip link set eth0 up
ip link set eth1 up
ip address add 203.0.113.2/24 dev eth0
ip address add 198.51.100.2/24 dev eth1

mount -t tmpfs tmpfs /var/lib
mkdir -p /var/lib/ipvs-director/drain
cp /etc/passwd /var/lib/passwd
echo keepalived_script:x:65533:65534::/nonexistent:/usr/sbin/nologin >> /var/lib/passwd
mount --bind /var/lib/passwd /etc/passwd
mount -t tmpfs -o mode=755 tmpfs /usr/local
mkdir /usr/local/libexec
printf '#!/bin/sh\n' > /usr/local/libexec/ipvs-director-pool-guard
chmod 755 /usr/local/libexec/ipvs-director-pool-guard

echo ready
while read -r _; do
    status=0
    keepalived --config-test --use-file "$folder/keepalived.conf" > "$folder/complaints" 2>&1 || status=$?
    echo "$status"
done
