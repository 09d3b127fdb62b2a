#!/bin/sh
# src/dist/release.sh DIR - put beside the binaries in DIR what else belongs to a release
#
#   stalprep.1, stalprep-VERSION-licenses.txt (which the caller puts there)
#   stalprep-VERSION-source.tar.xz   this source, with the tarballs of VERSIONS: ./build.sh builds it without a network
#   stalprep-VERSION.cdx.json        the bill of materials, in the form of CycloneDX
#   SHA256SUMS                       of all files
#
# The same commit and the same binaries give the same bytes, whoever runs this where and when.
set -eu
export LC_ALL=C
umask 022
dir=$(cd "$1" && pwd)
cd "$(dirname "$0")/../.."
unset CDPATH XZ_DEFAULTS XZ_OPT TAR_OPTIONS

die() { printf '%s\n' "release.sh: $*" >&2; exit 1; }

# column N NAME: of the row of VERSIONS
column() { awk -v n="$1" -v name="$2" '$1 == name { print $n; exit }' VERSIONS; }

libraries="musl bearssl cjson"
version=$(column 2 stalprep)
name=stalprep-$version
commit=$(make -s commit)
[ "$commit" != unknown ] || die "the commit is not known: a release is made from a git clone, or from a source archive"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# --- the source archive ---

# "COMMIT SECONDS": the time of the commit is that of all files in the archive.
commit_line() {
	if [ -e .git ]; then
		echo "$commit $(git -c safe.directory='*' show -s --format=%ct HEAD)"
	else
		cat build/sources/commit
	fi
}

source_files() {
	if [ -e .git ]; then
		git -c safe.directory='*' ls-files
	else
		find . \( -path ./build -o -name __pycache__ \) -prune -o -type f -print | sed 's|^\./||'
	fi
}

source_archive() {
	sources=$work/$name/build/sources
	mkdir -p "$sources"
	source_files >"$work/files"
	tar -cf - -T "$work/files" | tar -xf - -C "$work/$name"
	# shellcheck disable=SC2086  # names are words
	third_party/fetch.sh $libraries
	for part in $libraries; do
		cp "build/sources/$(column 4 "$part")" "$sources"
	done
	commit_line >"$sources/commit"
	tar --format=gnu --sort=name --mtime="@$(cut -d ' ' -f 2 "$sources/commit")" --owner=0 --group=0 --numeric-owner \
		--mode=u=rwX,go=rX -C "$work" -cf - "$name" | xz -9 -T 1 >"$dir/$name-source.tar.xz"
}

# --- the bill of materials ---

# Print the arguments with a comma between them.
list() {
	between=
	for item; do
		printf '%s%s' "$between" "$item"
		between=', '
	done
}

sha256() { sha256sum <"$1" | cut -c 1-64; }

# hashed SHA256: a member of a component
hashed() { printf '"hashes": [{"alg": "SHA-256", "content": "%s"}]' "$1"; }

licensed() { printf '"licenses": [{"license": {"id": "%s"}}]' "$(column 3 "$1")"; }

library() {
	printf '{"type": "library", "bom-ref": "%s", "name": "%s", "version": "%s", %s, %s, ' "$1" "$1" "$(column 2 "$1")" \
		"$(hashed "$(column 5 "$1")")" "$(licensed "$1")"
	printf '"externalReferences": [{"type": "distribution", "url": "%s"}], ' "$(column 6 "$1")"
	printf '"pedigree": {"notes": "edited by build_%s of third_party/build.sh, in the source archive"}, ' "$1"
	printf '"properties": [{"name": "stalprep:hashed-file", "value": "%s"}]}' "$(column 4 "$1")"
}

# What the compiler and the linker of processor $1 say of themselves.
builder() {
	gcc=$(awk -v name="$1" '$1 == "release" && $2 == name { print $3 }' VERSIONS)-gcc
	echo "$("$gcc" --version | head -n 1); $("$("$gcc" -print-prog-name=ld)" --version | head -n 1)"
}

binary() {
	printf '{"type": "file", "name": "%s", "version": "%s", %s, %s, ' "${1##*/}" "$version" "$(hashed "$(sha256 "$1")")" \
		"$(licensed stalprep)"
	printf '"properties": [{"name": "stalprep:compiler", "value": "%s"}]}' "$(builder "${1##*-linux-}")"
}

bill() {
	refs=
	set --
	for part in $libraries; do
		set -- "$@" "$(library "$part")"
		refs="$refs${refs:+, }\"$part\""
	done
	for file in "$dir/$name"-linux-*; do
		set -- "$@" "$(binary "$file")"
	done
	cat <<END
{
"bomFormat": "CycloneDX",
"specVersion": "1.5",
"version": 1,
"metadata": {"component": {"type": "application", "bom-ref": "stalprep", "name": "stalprep", "version": "$version",
	$(licensed stalprep), "properties": [{"name": "stalprep:commit", "value": "$commit"}]}},
"components": [$(list "$@")],
"dependencies": [{"ref": "stalprep", "dependsOn": [$refs]}]
}
END
}

cp src/dist/stalprep.1 "$dir"
source_archive
bill >"$dir/$name.cdx.json"
chmod 644 "$dir"/*
chmod 755 "$dir/$name"-linux-*
(cd "$dir" && rm -f SHA256SUMS && sha256sum -- * >"$work/sums" && cp "$work/sums" SHA256SUMS)
