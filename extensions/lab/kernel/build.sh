#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# build.sh ROOT OUT CONFIG SOURCE JOBS: in the tree ROOT, which has compilers and Debian's package SOURCE, a user-mode kernel with the
# options of the file CONFIG. OUT gets linux, the program, and modules/RELEASE.
set -eu
root=$1 out=$2 config=$3 source=$4 jobs=$5
build=$root/build
mkdir "$build"
cp "$config" "$build/wanted"
tar -xf "$root/usr/src/$source.tar.xz" -C "$build"

in_tree() {
  chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin KBUILD_BUILD_TIMESTAMP=1970-01-01 KBUILD_BUILD_USER=lab KBUILD_BUILD_HOST=lab \
    make --quiet --directory="/build/$source" ARCH=um SUBARCH=x86_64 "$@"
}

in_tree KCONFIG_ALLCONFIG=/build/wanted allnoconfig
# make drops without a word what it does not know, and what depends on something that is off.
dropped=$(grep '^CONFIG_' "$build/wanted" | grep -vxFf "$build/$source/.config" || true)
[ -z "$dropped" ] || { echo "$source does not take these lines of $config:" "$dropped" >&2; exit 1; }

in_tree --jobs="$jobs" linux modules
in_tree INSTALL_MOD_PATH=/build/installed modules_install
mkdir "$out/modules"
cp -r "$build"/installed/lib/modules/* "$out/modules/"
rm -f "$out"/modules/*/build "$out"/modules/*/source
chroot "$root" strip "/build/$source/linux"
cp "$build/$source/linux" "$out/"
