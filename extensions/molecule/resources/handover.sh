#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# handover.sh systemd-networkd|NetworkManager: gives this machine's eth0 with its addresses and routes to that network manager.
# Before it, a wire that can be pulled: eth0 becomes one end of a veth pair, with the old interface, now in the namespace "wire",
# behind the other. `wire down` and `wire up` take eth0's carrier away and bring it back.
set -eu
manager=$1
mac=$(cat /sys/class/net/eth0/address)
ipv4=$(ip -o -4 address show dev eth0 scope global | awk '{print $4; exit}')
ipv6=$(ip -o -6 address show dev eth0 scope global | awk '{print $4; exit}')
gateway4=$(ip -4 route show default dev eth0 | awk '{print $3; exit}')
gateway6=$(ip -6 route show default dev eth0 | awk '{print $3; exit}')

cat >/usr/local/sbin/wire <<'END'
#!/bin/sh
exec ip -n wire link set inner "$1"
END
chmod 755 /usr/local/sbin/wire
systemctl disable --quiet lab-net.service # it has run, and at the next boot the manager is there

# Managers wait for udev to know an interface.
systemctl unmask --quiet systemd-udevd.service systemd-udevd-control.socket systemd-udevd-kernel.socket systemd-udev-trigger.service
systemctl start systemd-udevd.service

case $manager in
systemd-networkd)
    mkdir -p /etc/systemd/network
    cat >/etc/systemd/network/10-lan.network <<END
[Match]
Name=eth0

[Network]
LinkLocalAddressing=ipv6
IPv6AcceptRA=no
Address=$ipv4
Address=$ipv6
${gateway4:+Gateway=$gateway4}
${gateway6:+Gateway=$gateway6}
END
    ;;
NetworkManager)
    mkdir -p /etc/NetworkManager/conf.d /etc/NetworkManager/system-connections
    printf '[main]\nno-auto-default=*\n[device-lan]\nmatch-device=interface-name:=eth0\nmanaged=1\n' >/etc/NetworkManager/conf.d/lab.conf
    cat >/etc/NetworkManager/system-connections/lan.nmconnection <<END
[connection]
id=lan
type=ethernet
interface-name=eth0

[ipv4]
method=manual
address1=$ipv4${gateway4:+,$gateway4}

[ipv6]
method=manual
address1=$ipv6${gateway6:+,$gateway6}
END
    chmod 600 /etc/NetworkManager/system-connections/lan.nmconnection
    command -v nmcli >/dev/null || apt-get -qq -y install --no-install-recommends network-manager >/dev/null
    systemctl stop NetworkManager
    ;;
esac

ip netns add wire
ip link set eth0 down
ip link set eth0 netns wire
ip -n wire link set eth0 address "02:00:00:00:77:${mac##*:}" name outer
ip link add eth0 address "$mac" type veth peer name inner netns wire
ip -n wire link add bridge type bridge stp_state 0 forward_delay 0 mcast_snooping 0
for port in outer inner; do ip -n wire link set "$port" master bridge up; done
# This kernel hears on its interface what it has sent there itself: learning from that, the bridge would lose its own side.
ip -n wire link set outer type bridge_slave learning off
ip -n wire link set bridge up
udevadm trigger --subsystem-match=net --action=add
udevadm settle
systemctl enable --now --quiet "$manager"
