#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# prepare.sh ROOT DISTRIBUTION MODULES: gives the Debian tree ROOT the look of DISTRIBUTION (amazon2023, rhel9, ubuntu2404), its package manager
# with a repository, and its network manager. MODULES: the folder of the kernel's modules. Where the distribution has IPVS in a package of its own, this
# leaves a folder of the same name without those modules beside this script.
set -eu
root=$1 distribution=$2 modules=$3
here=$(dirname "$(realpath "$0")")
release=$(basename "$modules")
units=$root/etc/systemd/system

# What a release file says is what the distribution's own says, without its links.
case $distribution in
amazon2023)
    cat >"$root/usr/lib/os-release" <<'TEXT'
NAME="Amazon Linux"
VERSION="2023"
ID="amzn"
ID_LIKE="fedora"
VERSION_ID="2023"
PLATFORM_ID="platform:al2023"
PRETTY_NAME="Amazon Linux 2023"
ANSI_COLOR="0;33"
CPE_NAME="cpe:2.3:o:amazon:amazon_linux:2023"
VARIANT_ID="2023"
TEXT
    echo 'Amazon Linux release 2023 (Amazon Linux)' >"$root/etc/amazon-linux-release"
    ln -s amazon-linux-release "$root/etc/system-release"
    echo 'cpe:2.3:o:amazon:amazon_linux:2023' >"$root/etc/system-release-cpe"
    ;;
rhel9)
    cat >"$root/usr/lib/os-release" <<'TEXT'
NAME="Red Hat Enterprise Linux"
VERSION="9.6 (Plow)"
ID="rhel"
ID_LIKE="fedora"
VERSION_ID="9.6"
PLATFORM_ID="platform:el9"
PRETTY_NAME="Red Hat Enterprise Linux 9.6 (Plow)"
ANSI_COLOR="0;31"
CPE_NAME="cpe:/o:redhat:enterprise_linux:9::baseos"
TEXT
    echo 'Red Hat Enterprise Linux release 9.6 (Plow)' >"$root/etc/redhat-release"
    ln -s redhat-release "$root/etc/system-release"
    echo 'cpe:/o:redhat:enterprise_linux:9::baseos' >"$root/etc/system-release-cpe"
    ;;
ubuntu2404)
    cat >"$root/usr/lib/os-release" <<'TEXT'
PRETTY_NAME="Ubuntu 24.04.3 LTS"
NAME="Ubuntu"
VERSION_ID="24.04"
VERSION="24.04.3 LTS (Noble Numbat)"
VERSION_CODENAME=noble
ID=ubuntu
ID_LIKE=debian
UBUNTU_CODENAME=noble
TEXT
    printf '%s\n' DISTRIB_ID=Ubuntu DISTRIB_RELEASE=24.04 DISTRIB_CODENAME=noble 'DISTRIB_DESCRIPTION="Ubuntu 24.04.3 LTS"' >"$root/etc/lsb-release"
    echo 'trixie/sid' >"$root/etc/debian_version"
    ;;
esac
[ -e "$root/etc/os-release" ] || ln -s ../usr/lib/os-release "$root/etc/os-release"

# The network manager waits for udev to know an interface; of the other devices nobody needs to know.
sed -i '/^systemd-udev[^-]/d; /^systemd-udev-trigger/d' "$here/masked-units"
mkdir -p "$units/systemd-udev-trigger.service.d"
printf '[Service]\nExecStart=\nExecStart=udevadm trigger --type=devices --action=add --subsystem-match=net\n' >"$units/systemd-udev-trigger.service.d/lab.conf"
cp "$here/network.sh" "$here/rootfs/usr/local/sbin/lab-net"
cp "$here/network.service" "$here/rootfs/etc/systemd/system/lab-net.service"
case $distribution in
amazon2023 | ubuntu2404) chroot "$root" systemctl --quiet enable systemd-networkd.service ;;
rhel9)
    chroot "$root" systemctl --quiet enable NetworkManager.service firewalld.service
    printf '[main]\nno-auto-default=*\n' >"$root/etc/NetworkManager/conf.d/lab.conf"
    ;;
esac

install -m 755 "$here/kube-proxy.sh" "$root/usr/local/sbin/kube-proxy"
for unit in web kube-proxy; do install -m 644 "$here/$unit.service" "$units/"; done
install -D -m 644 -t "$root/srv/wheels" "$here"/*.whl

# The packages that the roles are to install, and IPVS for the kernel that is to come in one of them.
case $distribution in
amazon2023 | ubuntu2404)
    mkdir -p "$here/extra/lib/modules/$release/kernel/net/netfilter"
    cp -aL "$modules" "$here/$release"
    mv "$here/$release/kernel/net/netfilter/ipvs" "$here/extra/lib/modules/$release/kernel/net/netfilter/"
    ;;
*) ln -s "$modules" "$here/$release" ;;
esac
case $distribution in
ubuntu2404) "$here/debs.sh" "$root" "$release" ;;
*) "$here/rpms.sh" "$root" "$distribution" "$release" ;;
esac
