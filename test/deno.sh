#!/bin/sh
# deno.sh FOLDER - put a deno there, the rustls server of test_peers.py: npm's package for x86_64, pinned and verified
set -eu
export LC_ALL=C
umask 022

version=2.9.6
sha512=de67784ca2c2bb3b0b0e67cea02e4a37b34065ac525643209bae2f83a7e80f4d090400c2a584b6ff942a5dfce09cfe59433de22cff6f05026d120735d7a380a1

die() { printf 'deno.sh: %s\n' "$*" >&2; exit 1; }

[ "$#" = 1 ] || die "wanted: the folder"
[ "$(uname -m)" = x86_64 ] || die "no deno for $(uname -m) is pinned"
mkdir -p "$1"
cd "$1"
[ ! -x deno ] || [ "$(cat stamp 2>/dev/null)" != "$sha512" ] || exit 0
work=$PWD/.part
rm -rf "$work"
mkdir "$work"
cd "$work"
timeout 300 npm pack --silent --fetch-retries 1 --cache "$work/cache" "@deno/linux-x64-glibc@$version" >log 2>&1 || {
	sed 's/^/  npm: /' log >&2
	die "npm could not get deno $version"
}
echo "$sha512  deno-linux-x64-glibc-$version.tgz" | sha512sum -c --status || die "wrong sha512"
tar -xzf "deno-linux-x64-glibc-$version.tgz" --strip-components=1 package/deno
chmod 755 deno
./deno --version >log 2>&1 || die "it does not run here"
mv deno ..
cd ..
rm -rf "$work"
echo "$sha512" >stamp
