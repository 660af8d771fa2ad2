#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# rpms.sh ROOT DISTRIBUTION RELEASE: a dnf repository in ROOT with packages that have the names and the files that the public lists of Red Hat
# Enterprise Linux 9 and Amazon Linux 2023 have. The programs in them are Debian's; ipvsadm.service runs what theirs runs. Then apt and dpkg
# go, so that nothing but dnf can install anything.
set -eu
root=$1 distribution=$2 release=$3
here=$(dirname "$(realpath "$0")")
build=$root/build
mkdir -p "$build/debs" "$root/srv/repo"

# From Debian's packages: NAME PACKAGE..., the files of these packages below build/NAME.
take() {
    name=$1
    shift
    (cd "$build/debs" && rm -f ./*.deb)
    chroot "$root" sh -c 'cd /build/debs && apt-get -qq download "$@"' - "$@"
    for deb in "$build"/debs/*.deb; do dpkg-deb --extract "$deb" "$build/$name"; done
    rm -rf "$build/$name/usr/share/doc" "$build/$name/usr/share/man"
    # In the tree these are links into /usr, and a package of rpm's may not have them as folders.
    for folder in bin lib sbin; do
        if [ -d "$build/$name/$folder" ]; then
            mkdir -p "$build/$name/usr/$folder"
            cp -a "$build/$name/$folder/." "$build/$name/usr/$folder/"
            rm -r "${build:?}/$name/$folder"
        fi
    done
}

# NAME VERSION [LINE...]: the package of what is below build/NAME, with these LINES in the head of its spec.
package() {
    name=$1 version=$2
    shift 2
    {
        printf '%s\n' "Name: $name" "Version: $version" 'Release: 1' 'Summary: A stand-in of a test' 'License: GPL' 'AutoReqProv: no' "$@"
        # shellcheck disable=SC2016
        printf '%s\n' '%global debug_package %{nil}' '%global __os_install_post %{nil}' '%global _build_id_links none' \
            '%description' 'A stand-in of a test.' '%install' "cp -a /build/$name/. %{buildroot}/"
        # In Lua, since no package here has a shell.
        case $name in *-modules-extra) printf '%s\n' '%post -p <lua>' "assert(os.execute('depmod $release'))" ;; esac
        echo '%files'
        (cd "$build/$name" && find . -type f -o -type l) | sed -e 's,^\.,,' -e 's,.*ipvsadm-config$,%config(noreplace) &,'
    } >"$build/$name.spec"
    chroot "$root" rpmbuild --quiet -bb --define '_topdir /build/top' --define '_rpmdir /srv/repo' "/build/$name.spec"
}

take ipvsadm ipvsadm
(cd "$build/ipvsadm" && rm -rf etc && mkdir -p etc/sysconfig usr/lib/systemd/system && rm -f usr/lib/systemd/system/*)
install -m 644 "$here/ipvsadm.service" "$build/ipvsadm/usr/lib/systemd/system/"
printf '%s\n' 'IPVS_MODULES_UNLOAD="yes"' 'IPVS_SAVE_ON_STOP="no"' 'IPVS_SAVE_ON_RESTART="no"' 'IPVS_STATUS_NUMERIC="yes"' \
    >"$build/ipvsadm/etc/sysconfig/ipvsadm-config"
package ipvsadm 1.31
take ipset ipset
package ipset 7.11 'Requires: ipset-libs = 7.11'
take ipset-libs libipset13
package ipset-libs 7.11
take python3-pip python3-pip
package python3-pip 21.3.1
if [ "$distribution" = amazon2023 ]; then
    # 6.1 is the kernel that has no version in its packages' names.
    minor=$(echo "$release" | cut -d. -f1,2 | sed 's/^6[.]1$//')
    name=kernel$minor-modules-extra
    mkdir -p "$build/$name/usr"
    mv "$here/extra/lib" "$build/$name/usr/lib"
    package "$name" "$release"
fi

chroot "$root" createrepo_c --quiet /srv/repo
rm -rf "$build" "$root"/etc/yum.repos.d/* "$root"/var/lib/apt/lists/* "$root"/usr/bin/apt* "$root"/usr/bin/dpkg* "$root"/usr/bin/createrepo_c
mkdir -p "$root/etc/yum.repos.d" "$root/etc/dnf/vars"
printf '%s\n' '[local]' 'name=local' 'baseurl=file:///srv/repo' 'enabled=1' 'gpgcheck=0' >"$root/etc/yum.repos.d/local.repo"
echo 9 >"$root/etc/dnf/vars/releasever"
