#!/bin/sh
# build.sh - get what is missing, build the libraries, then stalprep itself; see usage
set -eu
export LC_ALL=C
umask 022
# The binary is to be the same everywhere.
unset CDPATH CFLAGS CPPFLAGS LDFLAGS MAKEFLAGS CPATH C_INCLUDE_PATH LIBRARY_PATH
[ -z "${STALPREP_SOURCES:-}" ] || STALPREP_SOURCES=$(cd "$STALPREP_SOURCES" && pwd)
from=$PWD
cd "$(dirname "$0")"
export PYTHONDONTWRITEBYTECODE=1

bin=build/stalprep
size_max=393216                                 # on x86_64; other processors have larger pages
pack=-Wl,-z,pack-relative-relocs                # saves 16 KB; this musl reads them, not every C library
gcc=gcc
runner=                                         # what runs a binary for another processor
out=build/release
# The switches, found by trying them all, save 10 KB of what -Oz still spends for speed: the first three in all code, the
# others in our own.
cflags="-Oz -fno-caller-saves -fno-thread-jumps -fno-tree-loop-im"
code_cflags="$cflags -flto=auto -flto-partition=one -fno-forward-propagate -fno-if-conversion \
	-fno-move-loop-invariants -fno-optimize-sibling-calls -fno-tree-dominator-opts -fno-tree-sra -fno-tree-tail-merge"
apt_wait=300                                    # seconds to wait for another apt
jobs=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
python_modules="cryptography, hypothesis, pytest, xdist"        # one Python must have them all
python_packages="python3-cryptography python3-hypothesis python3-pytest python3-pytest-xdist"
# The tests of each processor's binary: stage, status and clear over TLS and on a file, probe, print, the options.
processor_tests="test/test_stage.py::test_stage_then_clear test/test_config.py::test_edit test/test_config.py::test_given_back
	test/test_config.py::test_statuses test/test_probe.py::test_cutover_and_back test/test_probe.py::test_recorded
	test/test_print.py::test_fragment_in_the_file test/test_print.py::test_body_posted test/test_options.py"
processor_versions="not (0.8.0 or 0.9.4 or 0.10.7 or 0.11.8 or 0.12.5)"        # of the older server: two are enough
packages=

usage() {
	cat <<END
./build.sh               build $bin
./build.sh demo          build it, then run its main job against a simulated server
./build.sh test          build it, then run all tests; takes some minutes
./build.sh test thorough the same with full sweeps, new random seeds and longer fuzzing; up to an hour
./build.sh test static|unit|fuzz|e2e [ARG...]
                         some of them: "test unit addr json", "test fuzz url", "test e2e -k port25"
./build.sh test mutate [COUNT [SEED [FILE...]]]
                         changes places of the program, and prints the changes that no test notices; takes hours
./build.sh bench [PART...]
                         measure it beside what it is compared with, and put the table into test/BENCH and the README
./build.sh release [--verify SHA256SUMS] [PROCESSOR...]
                         the files of a release in $out, for all processors of VERSIONS or these, each tested;
                         --verify builds them in place of the tests, and compares them with those of that list
./build.sh sign KEY      sign $out/SHA256SUMS with this secret key, of minisign or of signify
./build.sh format        format the C code, with the clang-format that VERSIONS names
./build.sh clean         remove what was built, but keep the fetched sources
./build.sh help          this text

STALPREP_SOURCES=DIR     a folder with the source tarballs that VERSIONS names: nothing is fetched
FUZZ_SECONDS=N           seconds for each fuzz target (1; in a thorough test 60)
END
}

say() { printf '%s\n' "$*" >&2; }
die() { say "build.sh: $*"; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }

# --- arguments and the folder, before anything is installed ---

wrong() {
	say "build.sh: $*"
	usage >&2
	exit 2
}

no_more() { [ $# -le 1 ] || wrong "\"$1\" takes no argument: $2"; }

# names PATTERN NAME...: for each NAME the file must exist that PATTERN names with NAME in place of "%".
names() {
	pattern=$1
	shift
	for name; do
		[ -f "${pattern%\%*}$name${pattern#*%}" ] || wrong "there is no ${pattern%\%*}$name${pattern#*%}"
	done
}

check_test_arguments() {
	[ $# -gt 0 ] || return 0
	step=$1
	shift
	case $step in
	static | thorough) no_more "test $step" "$@" ;;
	unit) names test/unit/test_%.c "$@" ;;
	fuzz) names test/fuzz/fuzz_%.c "$@" ;;
	e2e | mutate) ;;                        # pytest's own, and test/mutate.py's
	*) wrong "there are no tests of that name: $step" ;;
	esac
}

# Print the rows of VERSIONS for these processors, or for all: processor, compiler, gcc's and binutils' version, qemu.
releases() {
	awk -v names=" $* " '$1 == "release" && (names == "  " || index(names, " " $2 " ")) { $1 = ""; print }' VERSIONS
}

# Set $verify and $processors. A path is one of the caller's folder.
check_release_arguments() {
	verify=
	if [ "${1:-}" = --verify ]; then
		[ $# -ge 2 ] || wrong "--verify needs a file"
		case $2 in /*) verify=$2 ;; *) verify=$from/$2 ;; esac
		[ -f "$verify" ] || wrong "there is no file $verify"
		shift 2
	fi
	for name; do
		[ -n "$(releases "$name")" ] || wrong "VERSIONS names no processor \"$name\""
	done
	processors=$*
}

check_sign_arguments() {
	[ $# -eq 1 ] || wrong "\"sign\" takes one argument, the file of a secret key"
	case $1 in /*) key=$1 ;; *) key=$from/$1 ;; esac
	case $(head -n 1 "$key" 2>/dev/null) in
	*minisign*secret*) signer=minisign ;;
	*signify*secret*) signer=signify ;;
	*) wrong "$key is no secret key of minisign or signify" ;;
	esac
}

check_arguments() {
	case $1 in
	release)
		shift
		check_release_arguments "$@" ;;
	sign)
		shift
		check_sign_arguments "$@" ;;
	test)
		shift
		check_test_arguments "$@" ;;
	bench) ;;                               # test/bench.py's own
	build | demo | format | clean | help) no_more "$@" ;;
	*) wrong "there is no such command: $1" ;;
	esac
}

# make can't use a path with a blank or one of its own special characters.
check_folder() {
	odd=$(printf %s "$PWD" | tr -d 'A-Za-z0-9/._+,@~=\200-\377-')
	[ -z "$odd" ] || die "make can't build in a folder with \"$odd\" in its path: $PWD. Move the folder."
	{ mkdir -p build && : >>build/.lock; } 2>/dev/null ||
		die "$PWD/build can't be written. Run this as the owner of the folder, or in a copy of it."
}

# --- packages ---

has_header() {
	echo "#include <$1>" | "$gcc" -E -x c -include stddef.h -include stdarg.h -include setjmp.h - >/dev/null 2>&1
}

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

# /usr/sbin is not in every user's PATH.
has_server() { [ -x "/usr/sbin/$1" ] || has "$1"; }

has_emulator() { has qemu-aarch64 || has qemu-aarch64-static; }

# Can tool $1 of VERSIONS be had without pip?
has_tool() { [ -n "${STALPREP_SOURCES:-}" ] || third_party/tool.sh --here "$1"; }

# need PACKAGE CHECK...: note the Debian package, once, unless the check passes.
need() {
	package=$1
	shift
	case "$packages " in *" $package "*) return 0 ;; esac
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

need_for_tool() {
	need python3 has python3
	has_tool "$1" || need python3-pip has_modules pip
}

# The kernel and busybox of the machine that a test boots are not installed: test/rescue.sh unpacks them.
need_to_boot() {
	[ "$(uname -m)" = x86_64 ] || return 0
	need qemu-system-x86 has qemu-system-x86_64
	need e2fsprogs has_server debugfs
}

need_for_static() {
	need make has make
	need shellcheck has shellcheck
	need cppcheck has cppcheck
	need_for_tool clang-format
}

need_for_unit() {
	need_to_build
	need libc6-dev has_header stdio.h
	need libcmocka-dev has_header cmocka.h
}

need_for_fuzz() {
	need_to_build
	need libc6-dev has_header stdio.h
	need clang has clang
	need libclang-rt-dev has_fuzzer
}

need_for_e2e() {
	need_to_build
	need libc6-dev has_header stdio.h
	need "$python_packages" has_modules "$python_modules"
	need ansible-core has ansible-playbook
	need curl has curl
	need busybox has busybox
	need fish has fish
	need gnutls-bin has gnutls-serv
	need haproxy has_server haproxy
	need iproute2 has_server ip
	need libbearssl-dev has_header bearssl.h
	need libcjson-dev has_header cjson/cJSON.h
	need libcmocka-dev has_header cmocka.h
	need mandoc has mandoc
	need minisign has minisign
	need nginx has_server nginx
	need openssl has openssl
	need patch has patch
	need perl has shasum
	need shellcheck has shellcheck
	need signify-openbsd has signify-openbsd
	need strace has strace
	need zsh has zsh
	need_for_tool deno
	[ -z "${STALPREP_THOROUGH:-}" ] || need_to_boot
}

need_to_release() {
	need_to_build
	[ ! -e .git ] || need git has git
	while read -r _ compiler gcc_version ld_version qemu; do
		set_gcc "$compiler"
		! has "$gcc" || check_builder
		[ "$gcc" = gcc ] || need "gcc-$(echo "$compiler" | tr _ -)" has "$gcc"
		[ "$qemu" = - ] || need qemu-user has "$qemu"
	done <<END
$(releases "$processors")
END
	gcc=gcc
	need "$python_packages" has_modules "$python_modules"
	need openssl has openssl
}

# Debian names OpenBSD's signify so.
need_to_sign() {
	case $signer in
	signify) need signify-openbsd has signify-openbsd ;;
	*) need minisign has minisign ;;
	esac
}

# apt's own waiting is for dpkg's lock alone; the lists have another. An update that fails does not matter if what it
# would list is known already.
apt_update() {
	waited=0
	until said=$(apt-get -q update 2>&1); do
		case $said in *"Could not get lock"*) ;; *) break ;; esac
		[ "$waited" -lt "$apt_wait" ] || break
		sleep 5
		waited=$((waited + 5))
	done
	printf '%s\n' "$said"
}

# invoke-rc.d asks this program whether to start an installed service. It answers no.
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
	apt_update
	# shellcheck disable=SC2086  # names are words
	apt-get -q -y --no-install-recommends -o DPkg::Lock::Timeout="$apt_wait" install $packages
)

install_packages() {
	[ -n "$packages" ] || return 0
	if ! has apt-get || [ "$(id -u)" != 0 ]; then
		die "please install first (by their Debian names):$packages"
	fi
	say "installing$packages"
	apt_install >build/packages.log 2>&1 || {
		tail -n 20 build/packages.log >&2
		die "apt-get could not install:$packages"
	}
	packages=
}

# --- the binary ---

bad() { die "$binary $*"; }

# Print what is wrong with the binary's segments, if anything is.
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
	case $($runner "$binary" --version) in "stalprep "[0-9]*) ;; *) bad "does not run" ;; esac
	size=$(wc -c <"$binary")
	case $target in
	x86_64-*) [ "$size" -le "$size_max" ] || bad "has $size bytes, more than $size_max" ;;
	esac
}

# What --version says of them.
libraries() {
	awk '$1 ~ /^(musl|bearssl|cjson)$/ { printf "%s%s %s", comma, $1, $2; comma = ", " }' VERSIONS
}

# make_target GOAL: build our code with the libraries of third_party/build.sh for $target
make_target() {
	make -s -j"$jobs" CC="$dir/bin/$target-cc" BEARSSL="$dir/bearssl" CJSON="$dir/cjson" LICENSES="$dir/licenses.txt" \
		LIBRARIES="$(libraries)" BUILD="$dir/obj" BIN="$binary" WERROR=-Werror CFLAGS="$code_cflags $align" LDFLAGS="$ldflags" "$1"
}

# Does $gcc's linker take these flags without a word?
can_link() { [ -z "$("$gcc" -shared -nostdlib "$@" -o /dev/null -x c /dev/null 2>&1)" ]; }

# Of the compiler $gcc. Some linkers can't pack relocations for each processor.
set_target() {
	target=$("$gcc" -dumpmachine | sed 's/-gnu/-musl/')
	dir=$PWD/build/$target
	binary=build/$target/stalprep
	ldflags=
	! can_link "$pack" || ldflags=$pack
	case $target in
	x86_64-*) align=-malign-data=abi ;;     # else gcc pads tables to 32 bytes there
	*) align= ;;
	esac
}

build_target() {
	set_target
	# shellcheck disable=SC2086  # flags are words
	third_party/build.sh "$target" "$gcc" $cflags
	make_target all
	check_binary
}

# The binary gets the name $bin only after it has passed the checks.
build_native() {
	build_target
	cmp -s "$binary" "$bin" || { cp "$binary" "$bin.part" && mv "$bin.part" "$bin"; }
	cp "$binary.licenses" "$bin.licenses"
	say "$bin: $size bytes"
}

# Run "$@" when no other build.sh builds in this folder.
locked() {
	(
		if has flock && ! flock -n 9; then
			say "another build is running here: waiting for it"
			flock 9
		fi
		"$@"
	) 9>build/.lock
}

# --- tests ---

# Print what is skipped now, and again at the end.
skip() {
	say "skipped: $*"
	echo "skipped: $*" >>build/skipped
}

list_skipped() { [ ! -f build/skipped ] || cat build/skipped >&2; }

# make_tests GOAL...: make all goals in parallel; if one fails, the others still run.
make_tests() {
	make -s -k -O -j"$jobs" CC="$gcc" BEARSSL=build/host/bearssl CJSON=build/host/cjson LICENSES=build/host/licenses.txt \
		BUILD=build/host/obj CFLAGS='-O1 -g' WERROR=-Werror FUZZ_SECONDS="${FUZZ_SECONDS:-1}" FUZZ_CORPUS=fresh "$@"
}

# Build the libraries for the tests under sanitizers, which don't work on musl.
build_host() {
	third_party/build.sh host "$gcc" -Os
}

# get NAME WHAT: tool NAME of VERSIONS; without it WHAT is skipped, and the status is 1. Another file is an error.
get() {
	status=0
	third_party/tool.sh "$1" 2>"build/$1.log" || status=$?
	[ "$status" -ne 0 ] || return 0
	reason=$(tail -n 1 "build/$1.log")
	[ "$status" -eq 1 ] || die "$reason"
	skip "$2: $reason"
	return 1
}

# Set $static to the goals of the static checks.
choose_static() {
	static="shellcheck cppcheck"
	! get clang-format "the check of the C code's format" || static="$static format-check"
}

test_static() {
	choose_static
	# shellcheck disable=SC2086  # goals are words
	make_tests $static
}

test_unit() {
	build_host
	make_tests unit unit-asan ${1:+TESTS="$*"}
}

# Each time only from the committed corpora; `make fuzz` also keeps the inputs that it finds.
test_fuzz() {
	build_host
	rm -rf build/host/obj-fuzz/fuzz/*.fresh
	make_tests fuzz ${1:+TARGETS="$*"}
}

# In one make, so that no processor is idle while the last test of a kind runs.
test_parts() {
	choose_static
	build_host
	rm -rf build/host/obj-fuzz/fuzz/*.fresh
	# shellcheck disable=SC2086  # goals are words
	make_tests $static unit unit-asan fuzz
}

get_rescue() {
	test/rescue.sh build/rescue 2>build/rescue.log ||
		skip "the test that boots a rescue system: $(tail -n 1 build/rescue.log)"
}

build_for_e2e() {
	build_native
	make_target helpers
	get deno "the tests with a rustls server" || :
	[ -z "${STALPREP_THOROUGH:-}" ] || get_rescue
}

run_pytest() {
	has_modules "$python_modules" || die "no Python has all of: $python_modules"
	STALPREP=$PWD/$binary STALPREP_RUNNER=$runner HYPOTHESIS_STORAGE_DIRECTORY=$PWD/build/hypothesis \
		"$python" -m pytest -q -n "$jobs" -rfEs -o cache_dir="$PWD/build/pytest" -o testpaths=test "$@"
}

test_e2e() {
	locked build_for_e2e
	binary=$bin
	run_pytest --durations=15 "$@"
}

build_for_mutate() {
	build_host
	build_for_e2e
}

# It works in a copy, so other builds may go on.
test_mutate() {
	locked build_for_mutate
	has_modules "$python_modules" || die "no Python has all of: $python_modules"
	"$python" test/mutate.py "$@"
}

bench() {
	locked build_native
	has_modules "$python_modules" || die "no Python has all of: $python_modules"
	STALPREP=$PWD/$bin exec "$python" test/bench.py "$@"
}

timed() {
	what=$1
	shift
	say "$what"
	began=$(date +%s)
	"$@"
	say "$what: $(($(date +%s) - began)) s"
}

run_tests() {
	case $1 in
	all | thorough)
		timed "static checks, unit tests (also under sanitizers), fuzz targets" locked test_parts
		timed "tests of the binary" test_e2e
		list_skipped ;;
	e2e | mutate)
		step=$1
		shift
		"test_$step" "$@" ;;
	*)
		step=$1
		shift
		locked "test_$step" "$@" ;;
	esac
}

need_for_mutate() {
	need_for_unit
	need_for_e2e
}

# Where this can be the builder of a release.
need_for_two_builders() {
	gcc=gcc
	verify=
	processors="x86_64 s390x"
	read -r _ _ gcc_version ld_version _ <<END
$(releases x86_64)
END
	has gcc && is_builder || return 0
	need_to_release
	need diffoscope-minimal has diffoscope
	need faketime has faketime
}

need_for_tests() {
	case $1 in
	all)
		need_for_static
		need_for_unit
		need_for_fuzz
		need_for_e2e ;;
	thorough)
		need_for_tests all
		need_for_two_builders
		need gcc-aarch64-linux-gnu has aarch64-linux-gnu-gcc
		need qemu-user has_emulator ;;
	*)
		"need_for_$1" ;;
	esac
}

# --- a release ---

# Set $gcc for this compiler of VERSIONS: this machine's own has the usual name.
set_gcc() {
	gcc=gcc
	! has gcc || [ "$(gcc -dumpmachine)" = "$1" ] || gcc=$1-gcc
}

# Are these the versions of $gcc and its linker that VERSIONS names? Others give other bytes.
is_builder() {
	case $("$gcc" --version | head -n 1) in *"(Debian $gcc_version)"*) ;; *) return 1 ;; esac
	case $("$("$gcc" -print-prog-name=ld)" --version | head -n 1) in *" $ld_version") ;; *) return 1 ;; esac
}

check_builder() {
	is_builder || die "$gcc or its linker has not the version that VERSIONS names. Build the release on that system:" \
		"debootstrap makes one in a folder, for chroot. No file of a release was changed."
}

# Build for one processor and test the binary there. $part is the folder of the release's files.
release_for() {
	set_gcc "$compiler"
	runner=
	[ "$qemu" = - ] || runner=$qemu
	check_builder
	build_target
	cp "$binary" "$part/stalprep-$version-linux-$processor"
	cp "$dir/licenses.txt" "$part/stalprep-$version-licenses.txt"
	say "$processor: $size bytes"
	# shellcheck disable=SC2086  # names are words
	[ -n "$verify" ] || timed "tests of the binary for $processor" run_pytest -k "$processor_versions" $processor_tests
}

release() {
	[ "$(make -s commit)" != unknown ] || die "a release is made from a git clone, or from the source archive of one"
	[ ! -e .git ] || [ -z "$(git -c safe.directory='*' status --porcelain)" ] ||
		die "a release is made from a commit, but files were changed or added since: see git status"
	version=$(awk '$1 == "stalprep" { print $2 }' VERSIONS)
	part=$out.part
	rm -rf "$part"
	mkdir -p "$part"
	while read -r processor compiler gcc_version ld_version qemu; do
		release_for </dev/null
	done <<END
$(releases "$processors")
END
	for file in "$part"/*-linux-*; do
		grep -aqF "(commit $(make -s commit))" "$file" || die "files were changed while the release was built"
	done
	src/dist/release.sh "$part"
	[ -z "$verify" ] || cp "$verify" "$part.verify"         # it may lie in $out
	rm -rf "$out"
	mv "$part" "$out"
	say "$out:"
	cat "$out/SHA256SUMS" >&2
	[ -z "$verify" ] || compare
}

# Are the files those of the list?
compare() {
	diff "$part.verify" "$out/SHA256SUMS" >&2 || die "$out is not the release of $verify: the lines above differ"
	rm "$part.verify"
	say "these are the files of $verify, byte for byte"
}

# minisign -l signs the file itself, as signify does, so that each of both can check the signature, and openssl too.
sign() {
	[ -f "$out/SHA256SUMS" ] || die "there is no $out/SHA256SUMS yet: ./build.sh release makes it"
	(cd "$out" && sha256sum -c --quiet SHA256SUMS) || die "$out was changed since it was made: nothing was signed"
	case $signer in
	minisign) minisign -S -l -s "$key" -m "$out/SHA256SUMS" -x "$out/SHA256SUMS.sig" ;;
	signify) signify-openbsd -S -s "$key" -m "$out/SHA256SUMS" -x "$out/SHA256SUMS.sig" ;;
	esac
	say "$out/SHA256SUMS.sig"
}

verb=${1:-build}
[ $# -eq 0 ] || shift
case $verb in --help | -h) verb=help ;; esac
check_arguments "$verb" "$@"
[ "$verb" != help ] || { usage; exit; }
check_folder

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
	STALPREP=$PWD/$bin exec test/demo.sh ;;
test)
	[ $# -gt 0 ] || set -- all
	if [ "$1" = thorough ]; then
		export STALPREP_THOROUGH=1
		FUZZ_SECONDS=${FUZZ_SECONDS:-60}
	fi
	need_for_tests "$1"
	install_packages
	rm -f build/skipped
	run_tests "$@" ;;
bench)
	need_for_e2e
	install_packages
	bench "$@" ;;
release)
	need_to_release
	install_packages
	locked release ;;
sign)
	need_to_sign
	install_packages
	sign ;;
format)
	need_for_tool clang-format
	install_packages
	third_party/tool.sh clang-format ||
		die "only the clang-format that VERSIONS names is used, and it can't be had: nothing was changed"
	make -s format-all ;;
clean)
	find build -mindepth 1 -maxdepth 1 ! -name sources -exec rm -rf {} + ;;
esac
