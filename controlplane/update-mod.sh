#!/bin/sh
# Copyright The picolet Authors.
# SPDX-License-Identifier: Apache-2.0

# Points a module file at a Kubernetes release.
#
#   ./update-mod.sh 1.37.2 go.mod
#   ./update-mod.sh 1.36.3 go-1.36.mod
#
# k8s.io/kubernetes names its own libraries by paths inside its repository, which
# mean nothing to a module that imports it. This script replaces each of them by
# the published module of the same release (1.37.2 is published as v0.37.2), then
# lets `go mod tidy` complete the requirements and the .sum file.
set -eu

if [ $# -ne 2 ]; then
	echo "usage: $0 VERSION FILE    (for example: $0 1.37.2 go.mod)" >&2
	exit 2
fi
version=${1#v}
file=$2
cd "$(dirname "$0")"

case $version in
1.*.*) ;;
*)
	echo "$0: $version is not a Kubernetes version such as 1.37.2" >&2
	exit 2
	;;
esac
libraries=v0.${version#1.}

upstream=$(cd / && go mod download -json "k8s.io/kubernetes@v$version" | sed -n 's/.*"GoMod": "\(.*\)".*/\1/p')
if [ -z "$upstream" ]; then
	echo "$0: the Go module proxy has no k8s.io/kubernetes@v$version" >&2
	exit 1
fi
names=$(sed -n 's|^[[:space:]]*\(k8s\.io/[a-z-]*\) => \./staging/src/.*|\1|p' "$upstream")
if [ -z "$names" ]; then
	echo "$0: $upstream names no library by a staging path; the layout has changed" >&2
	exit 1
fi

# Only what this module asks for itself is carried over. All other versions follow
# from the release: those of another one may not compile with it.
direct=$(go mod edit -json go.mod | sed -n '/"Require"/,/\]/p' | tr -d ' \t\n' | tr '{' '\n' |
	sed -n '/"Indirect":true/d; s|.*"Path":"\([^"]*\)","Version":"\([^"]*\)".*|\1@\2|p' | grep -v '^k8s\.io/')

fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
{
	echo "module $(go list -m)"
	grep -E '^(go|godebug) ' "$upstream"
	echo "replace ("
	for name in $names; do
		echo "$name => $name $libraries"
	done
	echo ")"
} >"$fresh/go.mod"
for module in "k8s.io/kubernetes@v$version" $direct; do
	go mod edit -require="$module" "$fresh/go.mod"
done
cp "$fresh/go.mod" "$file"
rm -f "${file%.mod}.sum"
go mod tidy -modfile="$file"
echo "$file: Kubernetes $version, $(echo "$names" | wc -l) libraries at $libraries"
