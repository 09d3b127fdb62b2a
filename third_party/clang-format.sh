#!/bin/sh
# third_party/clang-format.sh [--here] - bring the clang-format of VERSIONS to build/clang-format/, verified
#
# It is a Python wheel: from $STALPREP_SOURCES if that is set, else from pip. If that fails, the status is 1 and the last
# line on standard error is the reason. With --here nothing is fetched: the status is 0 if it is there already.
set -eu
export LC_ALL=C
umask 022
cd "$(dirname "$0")/.."

dest=build/clang-format
machine=$(uname -m)

die() { printf '%s\n' "$*" >&2; exit 1; }

# Set version, file and sha256 of the wheel for this machine.
pin() {
	while read -r name version _ file sha256; do
		case $name/$file in clang-format/*"_$machine.whl") return 0 ;; esac
	done <VERSIONS
	die "VERSIONS has no clang-format for $machine"
}

# Set python to one that has pip. Debian's own comes first.
find_pip() {
	for python in ${PYTHON:-} /usr/bin/python3 python3; do
		! "$python" -m pip --version >/dev/null 2>&1 || return 0
	done
	die "no Python here has pip; install python3-pip"
}

fetch() {
	if [ -n "${STALPREP_SOURCES:-}" ]; then
		[ -f "$STALPREP_SOURCES/$file" ] || die "STALPREP_SOURCES has no $file"
		cp "$STALPREP_SOURCES/$file" "$work/"
		return
	fi
	find_pip
	"$python" -m pip download -q --disable-pip-version-check --retries 1 --timeout 15 --no-deps --only-binary :all: \
		--dest "$work" "clang-format==$version" >&2 || die "pip could not get clang-format $version"
	[ -f "$work/$file" ] || die "pip did not get $file, but another file"
}

pin
[ "$(cat $dest/stamp 2>/dev/null)" != "$sha256" ] || exit 0
[ "${1:-}" != --here ] || exit 1
work=$dest.part
rm -rf "$work"
mkdir -p "$work"
fetch
echo "$sha256  $work/$file" | sha256sum -c --status || die "$file: wrong sha256"
python3 -m zipfile -e "$work/$file" "$work/wheel"
mkdir "$work/out"
cp "$work/wheel/clang_format/data/bin/clang-format" "$work/out/"
chmod 755 "$work/out/clang-format"
"$work/out/clang-format" --version >/dev/null 2>&1 || die "clang-format $version does not run on this system"
echo "$sha256" >"$work/out/stamp"
rm -rf "$dest"
mv "$work/out" "$dest"
rm -rf "$work"
