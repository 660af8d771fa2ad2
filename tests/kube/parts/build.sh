#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# build.sh ROOT OUT MAKING JOBS: in the tree ROOT, which has Go, etcd and apt's lists of sources, the programs of Kubernetes out of Debian's
# source package, and what check.go is for. OUT gets them and etcd. MAKING: the folder of this file.
set -eu
root=$1 out=$2 making=$3 jobs=$4
build=$root/build
tree=/build/go/src/k8s.io/kubernetes
mkdir -p "$root$tree" "$build/tmp"

cd "$build"
APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get --quiet source --download-only kubernetes
# Debian's own patches touch only kubectl.
tar -xf kubernetes_*.orig.tar.gz -C "$root$tree" --strip-components=1
# 1.20.5+really1.20.2-1.1+deb12u1
version=$(sed -n 's/^Version: .*really\([0-9.]*\)-.*/\1/p' kubernetes_*.dsc | head -n 1)
[ -n "$version" ] || { echo "no version of Kubernetes in:" kubernetes_*.dsc >&2; exit 1; }

# The vendored reflect2 crashes on every map that it encodes when Go 1.18 or newer has built it.
reflect2=$root$tree/vendor/github.com/modern-go/reflect2
rm -f "$reflect2"/*.go "$reflect2"/*.s
cp "$root"/usr/share/gocode/src/github.com/modern-go/reflect2/*.go "$root"/usr/share/gocode/src/github.com/modern-go/reflect2/*.s "$reflect2/"

mkdir "$root$tree/cmd/kube-proxy-check"
cp "$making/check.go" "$root$tree/cmd/kube-proxy-check/main.go"

# GOPATH mode: Go 1.19 does not take this tree's go.mod together with its vendor directory.
in_tree() {
    chroot "$root" env -i --chdir="$tree" PATH=/usr/lib/go-1.19/bin:/usr/bin:/bin HOME=/build/tmp TMPDIR=/build/tmp LC_ALL=C.UTF-8 \
        GO111MODULE=off GOPATH=/build/go GOFLAGS=-p="$jobs" CGO_ENABLED=0 "$@"
}

# The one generated file that kube-apiserver needs and the source does not have: the definitions for OpenAPI.
in_tree go build -o /build/openapi-gen ./vendor/k8s.io/kube-openapi/cmd/openapi-gen
# Most of vendor/k8s.io are links to staging.
described=$(cd "$root$tree" && grep --dereference-recursive --files-with-matches --include='*.go' '^// *+k8s:openapi-gen=' vendor/k8s.io pkg cmd plugin |
    grep --extended-regexp --invert-match '_test\.go$|/testdata/|vendor/k8s.io/(code-generator|sample-apiserver|kube-openapi|gengo)/' |
    xargs -n 1 dirname | LC_ALL=C sort --unique | sed 's,^,k8s.io/kubernetes/,' | paste --serial --delimiters=,)
in_tree /build/openapi-gen --logtostderr --input-dirs "$described" --output-package k8s.io/kubernetes/pkg/generated/openapi \
    --output-file-base zz_generated.openapi --go-header-file vendor/k8s.io/code-generator/hack/boilerplate.go.txt --report-filename /build/violations

flags="-s -w"
for place in k8s.io/kubernetes/vendor/k8s.io/component-base/version k8s.io/kubernetes/vendor/k8s.io/client-go/pkg/version; do
    flags="$flags -X $place.gitVersion=v$version -X $place.gitMajor=1 -X $place.gitMinor=$(echo "$version" | cut -d . -f 2)"
    flags="$flags -X $place.gitTreeState=archive -X $place.buildDate=1970-01-01T00:00:00Z"
done
mkdir "$build/bin"
# One command for all, so that no processor waits for the last package of one program. providerless and dockerless: upstream's own tags.
in_tree go build -trimpath -tags providerless,dockerless -gcflags=all=-dwarf=false -ldflags "$flags" -o /build/bin \
    ./cmd/kube-apiserver ./cmd/kube-controller-manager ./cmd/kube-scheduler ./cmd/kubeadm ./cmd/kube-proxy ./cmd/kube-proxy-check
cp "$build"/bin/* "$root/usr/bin/etcd" "$out/"
echo "$version" > "$out/version"
