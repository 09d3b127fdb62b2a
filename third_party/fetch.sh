#!/bin/sh
# third_party/fetch.sh NAME... - bring the source tarballs of these components of VERSIONS to build/sources/, verified
#
# $STALPREP_SOURCES is a folder of tarballs given in advance: with it, no network is used.
# Otherwise apt is asked, with a private list of sources made from the machine's own (nothing of the system's is
# touched, and it needs no root); musl's release can also come from its own site. Where a tarball comes from never
# counts, only its sha256.
set -eu
export LC_ALL=C
cd "$(dirname "$0")/.."

dest=build/sources
suite=trixie                                    # the Debian release that carries the versions in VERSIONS
musl_releases=https://musl.libc.org/releases    # the same bytes as Debian's

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say() { printf '%s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }

# Set version, file and sha256 of component $1.
pin() {
	while read -r name version _ file sha256; do
		[ "$name" != "$1" ] || return 0
	done <VERSIONS
	die "VERSIONS names no $1"
}

# Stop everything unless file $1 is what VERSIONS says.
verify() {
	got=$(sha256sum <"$1")
	got=${got%% *}
	[ "$got" = "$sha256" ] || die "$1: wrong sha256: expected $sha256, got $got"
}

# Verify file $1, then let it appear under its own name in one step.
keep() {
	verify "$1"
	cp "$1" "$dest/.$file.part"
	mv "$dest/.$file.part" "$dest/$file"
}

# The machine's own sources of its own release, read as source packages of $suite. What else an entry says (keys,
# URIs) stays; entries of other suites are left out: their options could contradict these.
own_suites() {
	printf 'stable oldstable testing unstable sid %s' "$(sed -n 's/^VERSION_CODENAME="*\([^"]*\)"*$/\1/p' /etc/os-release 2>/dev/null)"
}

private_deb822() {
	awk -v suite="$suite" -v own=" $(own_suites) " '
		/^#/ { next }
		/^[ \t]*$/ { stanza(); next }
		/^[^ \t]/ {
			field = tolower($0); sub(/:.*/, "", field)
			if (field == "enabled" && tolower($2) ~ /^(no|false|without|off|disable|0)$/) off = 1
		}
		field == "suites" { for (i = 1; i <= NF; i++) if (index(own, " " $i " ")) ours = 1 }
		field !~ /^(types|suites|components|architectures|enabled)$/ { text = text $0 "\n" }
		END { stanza() }
		function stanza() {
			if (ours && !off)
				print "Types: deb-src\nSuites: " suite "\nComponents: main\n" text
			text = ""; off = 0; ours = 0
		}' "$@"
}

private_list() {
	awk -v suite="$suite" -v own=" $(own_suites) " '
		$1 == "deb" || $1 == "deb-src" {
			options = ""
			if (match($0, /\[[^]]*\]/) && $2 ~ /^\[/) {
				options = substr($0, RSTART, RLENGTH) " "
				$0 = substr($0, 1, RSTART - 1) substr($0, RSTART + RLENGTH)
			}
			line = "deb-src " options $2 " " suite " main"
			if (index(own, " " $3 " ") && $2 !~ /^cdrom:/ && !seen[line]++) print line
		}' "$@"
}

# Run apt tool $1 on the private lists only.
private_apt() {
	tool=$1
	shift
	"$tool" -q -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$work/parts" \
		-o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache" -o Acquire::GzipIndexes=true "$@"
}

# Get the index of source packages once a run. A source that has no such suite is an error to apt, not to us.
private_update() {
	[ ! -d "$work/parts" ] || return 0
	chmod 755 "$work"                           # apt downloads as a user of its own
	mkdir -p "$work/parts" "$work/lists/partial" "$work/cache" "$work/got"
	for list in /etc/apt/sources.list.d/*.sources; do
		[ ! -f "$list" ] || private_deb822 "$list"
	done >"$work/parts/own.sources"
	for list in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
		[ ! -f "$list" ] || private_list "$list"
	done >"$work/parts/own.list"
	private_apt apt-get update >"$work/log" 2>&1 || :
}

# Put $file into $work/got by apt. The Debian revision moves while the tarball stays: it is looked up.
by_apt() {
	has apt-get && has apt-cache || return 1
	private_update
	upstream=${file#"$name"_}
	upstream=${upstream%%.orig.tar.*}
	revision=$(private_apt apt-cache showsrc "$name" 2>>"$work/log" |
		awk -v v="$upstream-" '$1 == "Version:" && index($2, v) == 1 { print $2; exit }')
	[ -n "$revision" ] || return 1
	(cd "$work/got" && private_apt apt-get source --download-only --tar-only "$name=$revision") >>"$work/log" 2>&1 &&
	[ -f "$work/got/$file" ]
}

# Put musl's release into $work/got from its own site.
by_upstream() {
	[ "$name" = musl ] || return 1
	mkdir -p "$work/got"
	url=$musl_releases/musl-$version.tar.gz
	if has curl; then
		curl -fsSL -o "$work/got/$file" "$url"
	elif has wget; then
		wget -q -O "$work/got/$file" "$url"
	else
		return 1
	fi
}

fetch() {
	pin "$1"
	if [ -n "${STALPREP_SOURCES:-}" ]; then
		[ -f "$STALPREP_SOURCES/$file" ] || die "$STALPREP_SOURCES has no $file (sha256 $sha256)"
		keep "$STALPREP_SOURCES/$file"
	elif [ -f "$dest/$file" ]; then
		verify "$dest/$file"
	else
		say "fetching $file"
		if ! by_apt && ! by_upstream; then
			wanted="$wanted $file"
			return
		fi
		keep "$work/got/$file"
	fi
}

mkdir -p "$dest"
wanted=
for component; do
	fetch "$component"
done
if [ -n "$wanted" ]; then
	[ ! -f "$work/log" ] || sed 's/^/  apt: /' "$work/log" >&2
	die "not found:$wanted. Put them into $PWD/$dest, or into a folder that STALPREP_SOURCES names; VERSIONS has their sha256."
fi
