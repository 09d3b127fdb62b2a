#!/bin/sh
# rescue.sh DIR - unpack what a rescue system is made of to DIR: Debian's kernel, its modules, busybox; nothing is installed
#
# Where that can't be had, the status is 1 and the last line on standard error is the reason.
set -eu
export LC_ALL=C
dest=$1
work=$dest.part

die() { printf '%s\n' "$*" >&2; exit 1; }

# unpack PACKAGE PATTERN...: the files that fit
unpack() {
	package=$1
	shift
	(cd "$work/deb" && apt-get -q download "$package" >&2) || die "apt-get could not download $package"
	dpkg-deb --fsys-tarfile "$work/deb/${package}_"*.deb | tar -xf - -C "$work" --wildcards "$@"
}

[ "$(dpkg --print-architecture 2>/dev/null)" = amd64 ] || die "this is no Debian for x86_64"
kernel=$(apt-cache depends linux-image-amd64 | sed -n 's/^ *Depends: *\(linux-image-[^ ]*\)$/\1/p')
[ -n "$kernel" ] || die "apt knows no linux-image-amd64"
[ "$(cat "$dest/package" 2>/dev/null)" != "$kernel" ] || exit 0
rm -rf "$work"
mkdir -p "$work/deb"
unpack busybox-static '*/bin/busybox'
unpack "$kernel" './boot/vmlinuz-*' '*/kernel/crypto/*' '*/kernel/drivers/block/virtio_blk.*' \
	'*/kernel/drivers/net/net_failover.*' '*/kernel/drivers/net/virtio_net.*' '*/kernel/drivers/virtio/*' \
	'*/kernel/fs/ext4/*' '*/kernel/fs/jbd2/*' '*/kernel/fs/mbcache.*' '*/kernel/lib/*' '*/kernel/net/core/*'
mv "$work"/boot/vmlinuz-* "$work/vmlinuz"
find "$work" -name busybox -type f -exec mv {} "$work/busybox" \;
rm -rf "$work/deb"
echo "$kernel" >"$work/package"
rm -rf "$dest"
mv "$work" "$dest"
