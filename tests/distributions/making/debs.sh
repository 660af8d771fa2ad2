#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# debs.sh ROOT RELEASE: the package linux-modules-extra-RELEASE with what prepare.sh left in the folder extra, and an apt repository in
# ROOT with it and with Debian's packages for the rest.
set -eu
root=$1 release=$2
here=$(dirname "$(realpath "$0")")
mkdir -p "$here/extra/DEBIAN" "$root/srv/repo"
cat >"$here/extra/DEBIAN/control" <<TEXT
Package: linux-modules-extra-$release
Version: $release
Architecture: amd64
Maintainer: nobody <nobody@example.org>
Description: stand-in for Ubuntu's package: kernel modules of IPVS
TEXT
printf '#!/bin/sh\nexec depmod %s\n' "$release" >"$here/extra/DEBIAN/postinst"
chmod 755 "$here/extra/DEBIAN/postinst"
mv "$here/extra/lib" "$here/extra/usr-lib"
mkdir "$here/extra/usr"
mv "$here/extra/usr-lib" "$here/extra/usr/lib"
dpkg-deb --root-owner-group --build "$here/extra" "$root/srv/repo/linux-modules-extra-${release}_${release}_amd64.deb" >/dev/null
"$here/add-packages.sh" "$root" curl ipset ipvsadm python3-pyroute2
