#!/bin/sh
# build.sh - get what is missing, build what is not ours, then stalprep itself; see usage
set -eu
export LC_ALL=C
unset CFLAGS CPPFLAGS LDFLAGS MAKEFLAGS CPATH C_INCLUDE_PATH LIBRARY_PATH    # the binary is to be the same everywhere
[ -z "${STALPREP_SOURCES:-}" ] || STALPREP_SOURCES=$(cd "$STALPREP_SOURCES" && pwd)
cd "$(dirname "$0")"

bin=build/stalprep
size_max=290816                                 # on x86_64; other processors' pages need more room
# Packed relocations save 16 KB; this musl reads them, not every C library does. RELRO would cost up to 4 KB of padding and
# protect nothing: musl applies it in its dynamic loader alone, never in a static PIE.
# A small "common page" keeps ld from filling the file up to a page in front of the data.
ldflags="-Wl,-z,pack-relative-relocs -Wl,-z,norelro -Wl,-z,noseparate-code -Wl,-z,common-page-size=64"
gcc=gcc
# Each of these switches off what makes code longer and that -Oz leaves on; 3 KB together.
cflags="-Oz -fno-move-loop-invariants -fno-tree-loop-im -fno-tree-dominator-opts -fno-guess-branch-probability -fno-thread-jumps"
cflags="$cflags -fno-partial-inlining"
jobs=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
python_modules="cryptography, hypothesis, pytest, xdist"        # one Python must have them all
python_packages="python3-cryptography python3-hypothesis python3-pytest python3-pytest-xdist"
packages=

usage() {
	cat <<END
./build.sh               build $bin
./build.sh demo          build it, then run its main job against a simulated server
./build.sh test          build it, then run all tests
./build.sh test static|unit|fuzz|e2e [ARG...]
                         some of them: "test unit addr json", "test fuzz url", "test e2e -k port25"
./build.sh clean         remove what was built; the fetched sources stay
./build.sh help          this text

STALPREP_SOURCES=DIR     a folder with the source tarballs that VERSIONS names: nothing is fetched
END
}

say() { printf '%s\n' "$*" >&2; }
die() { say "build.sh: $*"; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }

# --- packages ---

has_header() { echo "#include <$1>" | "$gcc" -E -x c -include stddef.h -include stdarg.h -include setjmp.h - >/dev/null 2>&1; }

# Clang's libraries for fuzzing are a package of their own.
has_fuzzer() {
	echo 'int LLVMFuzzerTestOneInput(const unsigned char *data, unsigned long size) { return !data && size; }' |
		clang -fsanitize=fuzzer,address,undefined -x c -o /dev/null - >/dev/null 2>&1
}

# A Python that has these modules: Debian's own first, since apt puts its packages there.
has_modules() {
	for python in ${PYTHON:-} /usr/bin/python3 python3; do
		! "$python" -c "import $1" 2>/dev/null || return 0
	done
	return 1
}

# Servers are not in everybody's PATH.
has_server() { [ -x "/usr/sbin/$1" ] || has "$1"; }

# Can the tests have a rustls server that is not here yet?
wants_deno() { [ "$(uname -m)" = x86_64 ] && [ -z "${STALPREP_SOURCES:-}" ] && [ ! -x build/deno/deno ] && ! has deno; }

# need PACKAGE CHECK...: note the Debian package unless the check passes.
need() {
	package=$1
	shift
	"$@" || packages="$packages $package"
}

need_to_build() {
	need gcc has "$gcc"
	need make has make
	need xz-utils has xz
}

need_to_demo() {
	need python3 has python3
	need openssl has openssl
}

need_to_test() {
	need libc6-dev has_header stdio.h
	need libcmocka-dev has_header cmocka.h
	need shellcheck has shellcheck
	need cppcheck has cppcheck
	need mandoc has mandoc
	need openssl has openssl
	need strace has strace
	need clang has clang
	need libclang-rt-dev has_fuzzer
	need "$python_packages" has_modules "$python_modules"
	need gnutls-bin has gnutls-serv
	need nginx has_server nginx
	need haproxy has_server haproxy
}

# What is installed is not to be started: invoke-rc.d asks this program. An update that fails does not matter if what it
# would list is known already.
apt_install() (
	policy=/usr/sbin/policy-rc.d
	if [ ! -e "$policy" ]; then
		trap 'rm -f "$policy"' EXIT
		trap 'exit 130' INT
		trap 'exit 143' TERM
		printf '#!/bin/sh\nexit 101\n' >"$policy"
		chmod 755 "$policy"
	fi
	export DEBIAN_FRONTEND=noninteractive
	apt-get -q update || :
	# shellcheck disable=SC2086  # names are words
	apt-get -q -y --no-install-recommends install $packages
)

install_packages() {
	[ -n "$packages" ] || return 0
	if ! has apt-get || [ "$(id -u)" != 0 ]; then
		die "please install first (by their Debian names):$packages"
	fi
	say "installing$packages"
	mkdir -p build
	apt_install >build/packages.log 2>&1 || {
		tail -n 20 build/packages.log >&2
		die "apt-get could not install:$packages"
	}
	packages=
}

# npm gets the rustls server; without it the tests that want one are skipped.
install_npm() {
	if wants_deno && ! has npm && has apt-get && [ "$(id -u)" = 0 ]; then
		say "installing npm"
		packages=npm
		apt_install >>build/packages.log 2>&1 || say "npm could not be installed"
		packages=
	fi
}

# --- the binary ---

bad() { die "$binary $*"; }

# Say what is wrong with its segments, if anything is.
check_segments() {
	readelf -lW "$binary" | awk '
		$1 == "INTERP" { fault = "has an INTERP" }
		$1 == "LOAD" || $1 == "GNU_STACK" {
			flags = ""
			for (i = 7; i < NF; i++) flags = flags $i
			if ($1 == "GNU_STACK") stack = flags
			else if (flags ~ /W/ && flags ~ /E/) fault = "has a segment that is writable and executable"
		}
		END {
			if (fault) print fault
			else if (stack == "" || stack ~ /E/) print "has an executable stack"
		}'
}

check_binary() {
	case $(readelf -hW "$binary") in *"Type: "*DYN*) ;; *) bad "is not a PIE" ;; esac
	fault=$(check_segments)
	[ -z "$fault" ] || bad "$fault"
	case $(readelf -dW "$binary") in *NEEDED*) bad "has a NEEDED" ;; *TEXTREL*) bad "has a TEXTREL" ;; esac
	! grep -q '(iconv[^)]*\.l*o)' "$dir/obj/map" || bad "links iconv, which has a known fault in this musl"
	case $("$binary" --version) in "stalprep "[0-9]*) ;; *) bad "does not run" ;; esac
	size=$(wc -c <"$binary")
	case $target in
	x86_64-*) [ "$size" -le "$size_max" ] || bad "has $size bytes, more than $size_max" ;;
	esac
}

# make_native GOAL: our own code, against the libraries that third_party/build.sh made for this machine
make_native() {
	make -s -j"$jobs" CC="$dir/bin/$target-cc" BEARSSL="$dir/bearssl" CJSON="$dir/cjson" LICENSES="$dir/licenses.txt" \
		BUILD="$dir/obj" BIN="$binary" WERROR=-Werror CFLAGS="$cflags -flto=auto" LDFLAGS="$ldflags" "$1"
}

settle_target() {
	target=$("$gcc" -dumpmachine | sed 's/-gnu/-musl/')
	dir=$PWD/build/$target
	binary=build/$target/stalprep
	case $target in
	x86_64-* | i?86-*) cflags="$cflags -malign-data=abi" ;;         # arrays need no cache line of their own
	esac
}

# What stands at $bin has passed the checks.
build_native() {
	settle_target
	# shellcheck disable=SC2086  # flags are words
	third_party/build.sh "$target" "$gcc" $cflags
	make_native all
	check_binary
	cmp -s "$binary" "$bin" || { cp "$binary" "$bin.part" && mv "$bin.part" "$bin"; }
	say "$bin: $size bytes"
}

build_helpers() {
	settle_target
	make_native helpers
}

# Run "$@" while no other build.sh does so in this folder.
locked() {
	mkdir -p build
	(
		if has flock && ! flock -n 9; then
			say "another build is running here: waiting for it"
			flock 9
		fi
		"$@"
	) 9>build/.lock
}

# --- tests ---

test_static() {
	say "static checks"
	find build.sh third_party test -name '*.sh' -exec shellcheck .ci/run {} +
	mkdir -p build/cppcheck
	cppcheck --quiet --error-exitcode=1 --std=c11 --library=posix,gnu --cppcheck-build-dir=build/cppcheck \
		--enable=warning,performance,portability --inline-suppr \
		--suppress=missingIncludeSystem --suppress=normalCheckLevelMaxBranches \
		-j "$jobs" -D_GNU_SOURCE -DVERSION='""' -Isrc src
}

test_unit() {
	say "unit tests, plain and under sanitizers"
	locked run_unit "$@"
}

run_unit() {
	third_party/build.sh host "$gcc" -Oz
	for suite in unit unit-asan; do
		make -s -k -j"$jobs" "$suite" CC="$gcc" BEARSSL=build/host/bearssl CJSON=build/host/cjson \
			LICENSES=build/host/licenses.txt BUILD=build/host/obj CFLAGS='-O1 -g' WERROR=-Werror ${1:+TESTS="$*"}
	done
}

test_fuzz() {
	say "fuzz targets under sanitizers, some seconds each"
	locked run_fuzz "$@"
}

# From the committed corpora alone each time; `make fuzz` goes on from what it found.
run_fuzz() {
	third_party/build.sh host "$gcc" -Oz
	rm -rf build/host/obj-fuzz/fuzz/*.fresh
	make -s -k -j"$jobs" fuzz BEARSSL=build/host/bearssl CJSON=build/host/cjson LICENSES=build/host/licenses.txt \
		BUILD=build/host/obj CFLAGS='-O1 -g' FUZZ_SECONDS="${FUZZ_SECONDS:-3}" FUZZ_CORPUS=fresh ${1:+TARGETS="$*"}
}

test_e2e() {
	say "tests of the binary"
	locked build_helpers
	has_modules "$python_modules" || die "no Python has all of: $python_modules"
	! wants_deno || locked test/deno.sh build/deno || say "the tests with a rustls server are skipped"
	STALPREP=$PWD/$bin PYTHONDONTWRITEBYTECODE=1 HYPOTHESIS_STORAGE_DIRECTORY=$PWD/build/hypothesis \
		"$python" -m pytest -q -n "$jobs" --durations=15 -o cache_dir="$PWD/build/pytest" "$@" test
}

run_tests() {
	if [ $# -eq 0 ]; then
		for step in static unit fuzz e2e; do
			"test_$step"
		done
		return
	fi
	step=$1
	shift
	case $step in
	static | unit | fuzz | e2e) "test_$step" "$@" ;;
	*) usage >&2; exit 2 ;;
	esac
}

verb=${1:-build}
[ $# -eq 0 ] || shift
case $verb in
build)
	need_to_build
	install_packages
	locked build_native ;;
demo)
	need_to_build
	need_to_demo
	install_packages
	locked build_native
	STALPREP=$PWD/$bin exec test/demo.sh "$@" ;;
test)
	need_to_build
	need_to_test
	install_packages
	mkdir -p build
	install_npm
	locked build_native
	run_tests "$@" ;;
clean)
	[ ! -d build ] || find build -mindepth 1 -maxdepth 1 ! -name sources -exec rm -rf {} + ;;
help | --help | -h)
	usage ;;
*)
	usage >&2
	exit 2 ;;
esac
