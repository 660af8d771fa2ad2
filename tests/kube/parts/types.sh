#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# types.sh ROOT OUT MAKING JOBS: in the tree ROOT, which has Go and the newest types of kube-proxy's configuration as Debian packages them, the
# program of types.go. OUT gets it. MAKING: the folder of this file.
set -eu
root=$1 out=$2 making=$3 jobs=$4
mkdir -p "$root/build/tmp"
cp "$making/types.go" "$root/build/main.go"
chroot "$root" env -i --chdir=/build PATH=/usr/bin:/bin HOME=/build/tmp TMPDIR=/build/tmp LC_ALL=C.UTF-8 \
    GO111MODULE=off GOPATH=/usr/share/gocode GOCACHE=/build/cache GOFLAGS=-p="$jobs" CGO_ENABLED=0 \
    go build -trimpath -o /build/kube-proxy-types main.go
cp "$root/build/kube-proxy-types" "$out/"
# Version: 0.36.4-1
chroot "$root" dpkg-query --status golang-k8s-kube-proxy-dev | sed --quiet 's/^Version: 0\.\([0-9.]*\).*/1.\1/p' > "$out/version"
