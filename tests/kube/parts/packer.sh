#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# packer.sh ROOT OUT MAKING JOBS: out of the tree ROOT, which has Debian's package packer, the program. OUT gets it.
set -eu
root=$1 out=$2
cp "$root/usr/bin/packer" "$out/"
# Version: 1.6.6+ds2-1+b1
chroot "$root" dpkg-query --status packer | sed --quiet 's/^Version: \([0-9.]*\).*/\1/p' >"$out/version"
