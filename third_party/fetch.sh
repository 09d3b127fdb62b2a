#!/bin/sh
# third_party/fetch.sh NAME... - bring the source tarballs of these components to build/sources/, verified by VERSIONS
#
# If $STALPREP_SOURCES is set, they come from that folder, without a network. Else they come from apt, with a private
# list of sources that is made from the machine's own: this needs no root and changes nothing of the system. Else they
# come from upstream, where that has the same bytes. Only the sha256 of a tarball counts, not where it comes from.
set -eu
export LC_ALL=C
cd "$(dirname "$0")/.."

dest=build/sources
suite=trixie                                    # the Debian release that has the versions in VERSIONS

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say() { printf '%s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }

# Set file, sha256 and upstream address of component $1.
pin() {
	while read -r name _ _ file sha256 from; do
		[ "$name" != "$1" ] || return 0
	done <VERSIONS
	die "VERSIONS has no $1"
}

# Stop everything unless file $1 is what VERSIONS says.
verify() {
	got=$(sha256sum <"$1")
	got=${got%% *}
	[ "$got" = "$sha256" ] || die "$1 has a wrong sha256: it is $got, expected $sha256"
}

# Verify file $1, then copy it to its place in one step.
keep() {
	verify "$1"
	cp "$1" "$dest/.$file.part"
	mv "$dest/.$file.part" "$dest/$file"
}

# The machine's list of sources for its own release becomes a list of the source packages of $suite. Keys, URIs and the
# like stay. Entries for other releases are left out, since their options could contradict these.
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

# Run apt tool $1 with the private lists only.
private_apt() {
	tool=$1
	shift
	"$tool" -q -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$work/parts" \
		-o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache" -o Acquire::GzipIndexes=true "$@"
}

# Get the index of source packages, once a run. apt fails if one source does not have $suite; here that is no error.
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

# Put $file into $work/got with apt. The Debian revision changes while the tarball stays: look it up.
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

# Put $file into $work/got from upstream. What Debian packed again is not there.
by_upstream() {
	case $file in *+dfsg*) return 1 ;; esac
	case $from in https://*) ;; *) return 1 ;; esac
	mkdir -p "$work/got"
	if has curl; then
		curl -fsSL -o "$work/got/$file" "$from"
	elif has wget; then
		wget -q -O "$work/got/$file" "$from"
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
			missing="$missing $file"
			return
		fi
		keep "$work/got/$file"
	fi
}

mkdir -p "$dest"
missing=
for component; do
	fetch "$component"
done
if [ -n "$missing" ]; then
	[ ! -f "$work/log" ] || sed 's/^/  apt: /' "$work/log" >&2
	die "not found:$missing. Put these files into $PWD/$dest, or set STALPREP_SOURCES to a folder that has them."
fi
