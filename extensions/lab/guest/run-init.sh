#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# First process of the kernel that `extensions.lab run` starts. $2 is the folder of its modules, $1 the job directory, shared with the host:
#   mounts    shell commands that bind the saved paths     command  the command, with its environment and directory
#   settings  what stdout and stderr are: "pipe", or stty words for a terminal; stderr may be "stdout"
# and what this script writes there: status (the exit status), failure (a reason), log (its trace).
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
job=$1
fail() { echo "the lab's kernel could not $1" >"$job/failure"; busybox poweroff -f; }
mount -t proc proc /proc
exec 2>"$job/log"
set -x
modules=$2

# The host's file tree below, memory on top. modprobe needs a tree that looks like /lib/modules.
mount -t tmpfs -o size=75%,mode=755 tmpfs /mnt || fail "mount a tmpfs on /mnt"
mkdir -p /mnt/upper /mnt/work /mnt/root /mnt/kmod/lib/modules
ln -s "$modules" /mnt/kmod/lib/modules/
modprobe -d /mnt/kmod overlay || fail "load overlayfs"
mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work overlay /mnt/root || fail "mount the overlay"

root=/mnt/root
mount -t proc proc $root/proc
mount -t sysfs sysfs $root/sys
mount -t cgroup2 cgroup2 $root/sys/fs/cgroup
mount -t devtmpfs devtmpfs $root/dev
mkdir -p $root/dev/pts $root/dev/shm
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts $root/dev/pts
mount -t tmpfs tmpfs $root/dev/shm
mount -t tmpfs -o mode=755 tmpfs $root/run
mkdir -p $root/run/lock $root/run/netns
ln -sf /proc/self/fd $root/dev/fd
ln -sf /proc/self/fd/0 $root/dev/stdin
ln -sf /proc/self/fd/1 $root/dev/stdout
ln -sf /proc/self/fd/2 $root/dev/stderr
mkdir -p $root/lib/modules
ln -sfn "$modules" "$root/lib/modules/$(uname -r)"
mkdir -p "$root$job"
mount --bind "$job" "$root$job"
# shellcheck source=/dev/null
. "$job/mounts"

ip link set lo up
hostname lab

# pivot_root and not chroot: the kernel's own modprobe must see this tree too.
cd $root || fail "enter the overlay"
mkdir -p mnt/host
pivot_root . mnt/host || fail "change its root"
mount -t proc proc /proc
umount -l /mnt/host

# The two output lines: as they are where the host's side is a terminal, else behind a pipe.
# Held open, for a line's settings go when nobody has it.
exec 3>/dev/ttyS0 4>/dev/ttyS1
line() { # NAME TTY KIND: makes /run/NAME
  stty -F "$2" raw -echo
  case $3 in
  pipe)
    mkfifo "/run/$1"
    cat "/run/$1" >"$2" &
    pumps="$pumps $!"
    ;;
  *)
    # shellcheck disable=SC2086
    stty -F "$2" $3
    ln -s "$2" "/run/$1"
    ;;
  esac
}
stdout=pipe stderr=pipe pumps=''
# shellcheck source=/dev/null
. "$job/settings"
line stdout /dev/ttyS0 "$stdout"
if [ "$stderr" = stdout ]; then
  setsid chroot . /bin/sh "$job/command" </dev/null >/run/stdout 2>&1 3>&- 4>&-
else
  line stderr /dev/ttyS1 "$stderr"
  setsid chroot . /bin/sh "$job/command" </dev/null >/run/stdout 2>/run/stderr 3>&- 4>&-
fi
echo $? >"$job/status"

# What the command left running goes, so that the pipes end; then each line is drained (setting it does that).
for process in /proc/[0-9]*; do
  process=${process#/proc/}
  case " 1 $pumps " in *" $process "*) ;; *) kill -9 "$process";; esac
done
wait
stty -F /dev/ttyS0 raw
stty -F /dev/ttyS1 raw
busybox poweroff -f
