#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# add-packages.sh ROOT PACKAGE...: an apt repository inside ROOT with these packages and what they depend on, as its
# only source: apt then works on a machine without a network.
set -eu
root=$1
shift
chroot "$root" apt-get clean
chroot "$root" apt-get -q -y install --download-only --no-install-recommends "$@" >/dev/null
mkdir -p "$root/srv/repo"
mv "$root"/var/cache/apt/archives/*.deb "$root/srv/repo/"
chroot "$root" sh -c 'cd /srv/repo && apt-ftparchive packages . >Packages && apt-ftparchive release . >Release'
rm -rf "$root/etc/apt/sources.list" "$root"/etc/apt/sources.list.d/* "$root"/var/lib/apt/lists/*
echo 'deb [trusted=yes] file:/srv/repo ./' >"$root/etc/apt/sources.list"
chroot "$root" apt-get -q update >/dev/null
