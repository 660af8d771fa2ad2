#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Names the interfaces as the kernel command line has them (see the lab's lab-net). Their addresses it leaves to the network manager, for which it
# writes files at the first boot, as cloud-init does.
set -eu
gateways='' interfaces=''
# shellcheck disable=SC2013
for word in $(cat /proc/cmdline); do
    values=$(echo "${word#*=}" | tr , ' ')
    case $word in
    lab.name=*)
        grep -q "[[:space:]]$values\$" /etc/hosts || echo "127.0.1.1 $values" >>/etc/hosts
        echo "$values" >/etc/hostname
        ;;
    lab.eth*)
        interface=${word%%=*}
        interface=${interface#lab.}
        ip link set "vec${interface#eth}" name "$interface"
        interfaces="$interfaces $interface"
        echo "$values" >"/run/$interface.addresses"
        ;;
    lab.gw=*) gateways=$values ;;
    esac
done

networkd() { # INTERFACE [GATEWAY...]
    file=/etc/systemd/network/70-$1.network
    [ -e "$file" ] && return
    printf '%s\n' '[Match]' "Name=$1" '[Network]' IPv6AcceptRA=no >"$file"
    sed 's/^/Address=/; s/ /\nAddress=/g' "/run/$1.addresses" >>"$file"
    shift
    for gateway; do echo "Gateway=$gateway" >>"$file"; done
}

netplan_yaml() { # INTERFACE [GATEWAY...]
    file=/etc/netplan/50-cloud-init.yaml
    [ -e /run/netplan-new ] || { [ -e "$file" ] && return; }
    [ -e "$file" ] || printf 'network:\n  version: 2\n  ethernets:\n' >"$file"
    chmod 600 "$file"
    touch /run/netplan-new
    printf '    %s:\n      dhcp4: false\n      accept-ra: false\n      addresses: [%s]\n' "$1" \
        "$(sed 's/[^ ]\{1,\}/"&"/g; s/ /, /g' "/run/$1.addresses")" >>"$file"
    shift
    [ $# -eq 0 ] || echo '      routes:' >>"$file"
    for gateway; do
        case $gateway in *:*) default=::/0 ;; *) default=0.0.0.0/0 ;; esac
        echo "        - {to: \"$default\", via: \"$gateway\"}" >>"$file"
    done
}

network_manager() { # INTERFACE [GATEWAY...]
    file=/etc/NetworkManager/system-connections/$1.nmconnection
    [ -e "$file" ] && return
    read -r ipv4 ipv6 <"/run/$1.addresses"
    cat >"$file" <<TEXT
[connection]
id=$1
type=ethernet
interface-name=$1

[ipv4]
method=manual
address1=$ipv4${2:+,$2}

[ipv6]
method=manual
address1=$ipv6${3:+,$3}
TEXT
    chmod 600 "$file"
}

if [ -d /etc/netplan ]; then
    manager=netplan_yaml
elif [ -d /etc/NetworkManager ]; then
    manager=network_manager
else
    manager=networkd
fi
last=${interfaces##* }
for interface in $interfaces; do
    # The default route leads through the last one.
    if [ "$interface" = "$last" ]; then
        # shellcheck disable=SC2086
        $manager "$interface" $gateways
    else
        $manager "$interface"
    fi
done
# The generator has run by now.
[ ! -e /run/netplan-new ] || netplan generate
