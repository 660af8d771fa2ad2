#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# make-disk.sh ROOT OUT KEY MODULES: the tree ROOT (with systemd and sshd) as a disk OUT that boots in the lab, where
# whoever has the key whose public half is the file KEY may log in. MODULES is the kernel's own modules folder.
# ROOT is not changed: what a lab machine needs goes into an overlay. Wants its own mount namespace.
set -eu
root=$1 out=$2 key=$3 modules=$4
here=$(dirname "$(realpath "$0")")
release=$(basename "$modules")
[ -x "$root/usr/sbin/sshd" ] || { echo "$root has no /usr/sbin/sshd: install openssh-server in it" >&2; exit 1; }
[ -x "$root/lib/systemd/systemd" ] || { echo "$root has no systemd: install systemd-sysv in it" >&2; exit 1; }

scratch=$(mktemp -d "$out.XXXXXX")
trap 'umount -l "$scratch"; rmdir "$scratch"' EXIT
mount -t tmpfs -o mode=755 tmpfs "$scratch"
disk=$scratch/disk
mkdir "$scratch/upper" "$scratch/work" "$disk"
mount -t overlay -o "lowerdir=$root,upperdir=$scratch/upper,workdir=$scratch/work" overlay "$disk"

cp -r "$here/rootfs/." "$disk/"
units=$disk/etc/systemd/system
mkdir -p "$units/multi-user.target.wants" "$units/sysinit.target.wants"
ln -sf ../lab-disk.service "$units/sysinit.target.wants/"
ln -sf ../lab-net.service "$units/multi-user.target.wants/"
ln -sf /lib/systemd/system/ssh.service "$units/multi-user.target.wants/"
grep -v '^#' "$here/masked-units" | while read -r unit; do ln -sf /dev/null "$units/$unit"; done
ln -sf /lib/systemd/system/multi-user.target "$units/default.target"
# logind stays installed, shutdown asks for it; it need not start.
rm -f "$disk/lib/systemd/system/multi-user.target.wants/systemd-logind.service"

install -d -m 700 "$disk/root/.ssh"
install -m 600 "$key" "$disk/root/.ssh/authorized_keys"
ssh-keygen -q -A -f "$disk"
echo '/dev/ubda / ext4 noatime,errors=remount-ro 0 0' >"$disk/etc/fstab"
: >"$disk/etc/machine-id"
rm -f "$disk/etc/resolv.conf" "$disk/etc/hostname"
: >"$disk/etc/resolv.conf"
echo '127.0.0.1 localhost' >"$disk/etc/hosts"
echo '::1 localhost ip6-localhost ip6-loopback' >>"$disk/etc/hosts"

# Of the kernel's modules the networking ones and what they and systemd stand on.
target=$disk/lib/modules/$release
mkdir -p "$target"
(
  cd "$modules"
  for part in modules.builtin* modules.order kernel/net kernel/drivers/net kernel/crypto kernel/lib \
    kernel/fs/autofs kernel/fs/binfmt_misc.ko kernel/fs/configfs kernel/fs/fuse kernel/fs/overlayfs; do
    # A kernel may have a part built in.
    [ ! -e "$part" ] || cp -aL --parents "$part" "$target/"
  done
)
depmod -b "$disk" "$release"

used=$(du -smx "$disk" | cut -f1)
mke2fs -q -t ext4 -J size=16 -E lazy_itable_init=1,root_owner=0:0 -m 0 -L lab -d "$disk" "$out" $((used + 1536))M
