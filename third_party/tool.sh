#!/bin/sh
# third_party/tool.sh [--here] NAME - put this tool of VERSIONS to build/NAME/NAME, verified
#
# Tools come as Python wheels: from $STALPREP_SOURCES if that is set, else by pip. Where one can't be had, the status is
# 1 and the last line on standard error is the reason; it is 2 for a file that is not the one in VERSIONS. With --here
# nothing is fetched: is it there?
set -eu
export LC_ALL=C
umask 022
cd "$(dirname "$0")/.."

here=
[ "$1" != --here ] || { here=yes; shift; }
tool=$1
dest=build/$tool
machine=$(uname -m)

die() { printf '%s\n' "$*" >&2; exit 1; }

# Set version, file and sha256 of the wheel for this machine.
pin() {
	while read -r name version _ file sha256 _; do
		case $name/$file in "$tool"/*"_$machine.whl") return 0 ;; esac
	done <VERSIONS
	die "VERSIONS names no $tool for $machine"
}

# A Python that has pip: Debian's own first.
find_pip() {
	for python in ${PYTHON:-} /usr/bin/python3 python3; do
		! "$python" -m pip --version >/dev/null 2>&1 || return 0
	done
	die "no Python here has pip"
}

fetch() {
	if [ -n "${STALPREP_SOURCES:-}" ]; then
		[ -f "$STALPREP_SOURCES/$file" ] || die "STALPREP_SOURCES has no $file"
		cp "$STALPREP_SOURCES/$file" "$work/"
		return
	fi
	find_pip
	"$python" -m pip download -q --disable-pip-version-check --retries 1 --timeout 15 --no-deps --only-binary :all: \
		--dest "$work" "$tool==$version" >&2 || die "pip could not get $tool $version"
	[ -f "$work/$file" ] || die "pip got another file than $file"
}

pin
[ "$(cat "$dest/stamp" 2>/dev/null)" != "$sha256" ] || exit 0
[ -z "$here" ] || exit 1
work=$dest.part
rm -rf "$work"
mkdir -p "$work/out"
fetch
got=$(sha256sum <"$work/$file")
got=${got%% *}
[ "$got" = "$sha256" ] || { echo "$file: wrong sha256: expected $sha256, got $got" >&2; exit 2; }
python3 -m zipfile -e "$work/$file" "$work/wheel"
find "$work/wheel" -type f -name "$tool" -exec cp {} "$work/out/" \;
chmod 755 "$work/out/$tool"
"$work/out/$tool" --version >/dev/null 2>&1 || die "$tool $version does not run on this system"
echo "$sha256" >"$work/out/stamp"
rm -rf "$dest"
mv "$work/out" "$dest"
rm -rf "$work"
