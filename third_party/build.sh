#!/bin/sh
# third_party/build.sh TARGET GCC [CFLAG...] - build musl, BearSSL and cJSON, unless they are there already
#
#   build/TARGET/musl, bearssl, cjson   each with include, lib, LICENSE, and a stamp of what it was built from
#   build/TARGET/bin/TARGET-cc          GCC against that musl; links static PIEs
#   build/TARGET/licenses.txt           all licence texts, for the binary
#
# TARGET is a triple such as x86_64-linux-musl, or "host": BearSSL and cJSON for GCC's own C library, for the unit
# tests under sanitizers (which don't work on musl). Each component is built in a temporary folder, which is renamed
# when it is complete: an interrupted run leaves no half-built component.
set -eu
export LC_ALL=C
umask 022
cd "$(dirname "$0")/.."

target=$1
gcc=$2
shift 2
dir=$PWD/build/$target
ar=$("$gcc" -print-prog-name=ar)
jobs=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)

# Sections: the linker takes only those that are used. BR_RDRAND=0: else BearSSL takes its random numbers from the
# processor alone. Of what a processor may have, AES alone is used; the other switches leave the portable code.
cflags="-fPIE -ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables -fstack-protector-strong $*"
bearssl_flags="-DBR_RDRAND=0 -DBR_SSE2=0 -DBR_INT128=0 -DBR_UMUL128=0"

# On powerpc musl knows only this long double, which is not GCC's own.
case $target in
powerpc*) abi=-mlong-double-64 ;;
*) abi= ;;
esac

if [ "$target" = host ]; then
	components="bearssl cjson"
	cc=$gcc
	lto=                                    # clang links them too, for fuzzing
else
	components="musl bearssl cjson"
	cc=$dir/bin/$target-cc
	lto="-flto -ffat-lto-objects"           # fat: they can also be linked without LTO
fi

say() { printf '%s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# Set version and file of component $1.
pin() {
	while read -r name version _ file _; do
		[ "$name" != "$1" ] || return 0
	done <VERSIONS
}

# A hash of everything that component $1 is built from. The libraries also depend on musl's headers.
stamp() {
	{
		grep -e "^$1 " -e '^musl ' VERSIONS
		cat third_party/build.sh
		echo "$cflags"
		"$gcc" --version
		"$gcc" -print-libgcc-file-name
	} | sha256sum | cut -c1-64
}

is_built() {
	[ "$(cat "$dir/$1/stamp" 2>/dev/null)" = "$(stamp "$1")" ]
}

# Recipes. Each runs in the source folder, whose path no object may name; its argument is the folder that gets include
# and lib. Nothing here prints a number with a fraction: without fmt_fp a printf that should do it fails.
build_musl() {
	sed -i 's/l = fmt_fp(.*);/l = -1;/' src/stdio/vfprintf.c && grep -q 'l = -1;' src/stdio/vfprintf.c &&
	./configure --prefix=/ --target="$target" --disable-shared --disable-wrapper \
		CC="$gcc $abi" AR="$ar" RANLIB="$ar s" CFLAGS="$cflags" LIBCC="$("$gcc" -print-libgcc-file-name)" &&
	make -j"$jobs" &&
	make DESTDIR="$1" install &&
	cp COPYRIGHT "$1/LICENSE"
}

make_bearssl() {
	how="$cflags $lto $bearssl_flags $1"
	shift
	make -j"$jobs" CC="$cc" CFLAGS="$how" AR="$ar" BUILD=out "$@"
}

# To multiply long numbers takes most of the time; all else is to be small. So P-256's generator is multiplied like any
# other point: its own table and code are 2 KB.
build_bearssl() {
	sed -i 's/p256_mulgen(&\([PQ]\), /p256_decode(\&\1, P256_G, sizeof P256_G); p256_mul(\&\1, /' src/ec/ec_p256_m31.c &&
	[ "$(grep -c 'p256_decode(&[PQ], P256_G, sizeof P256_G); p256_mul(&[PQ], ' src/ec/ec_p256_m31.c)" = 2 ] &&
	mkdir -p out/obj &&
	make_bearssl -O3 out/obj/i31_montmul.o out/obj/i31_add.o out/obj/i31_sub.o out/obj/ccopy.o &&
	make_bearssl "" lib &&
	mkdir "$1/include" "$1/lib" &&
	cp inc/*.h "$1/include" &&
	cp out/libbearssl.a "$1/lib" &&
	cp LICENSE.txt "$1/LICENSE"
}

build_cjson() {
	# Only what prints needs realloc.
	sed -i 's/internal_realloc realloc/internal_realloc NULL/; s/reallocate = realloc;/reallocate = NULL;/' cJSON.c
	# shellcheck disable=SC2086  # flags are words
	"$cc" $cflags $lto -Dstrtod=json_number -c cJSON.c &&     # see src/format/json.h
	mkdir "$1/lib" && mkdir -p "$1/include/cjson" &&
	"$ar" rcs "$1/lib/libcjson.a" cJSON.o &&
	cp cJSON.h "$1/include/cjson" &&
	cp LICENSE "$1/LICENSE"
}

# Build component $1 in a fresh folder. Its stamp is written last; then the folder replaces the old one.
build() {
	pin "$1"
	work=$dir/.$1.part
	rm -rf "$work"
	mkdir -p "$work/source" "$work/out"
	say "building $1 $version for $target"
	tar -xf "build/sources/$file" -C "$work/source" --strip-components=1
	(cd "$work/source" && cflags="$cflags -ffile-prefix-map=$PWD=." && "build_$1" "$work/out") >"$dir/$1.log" 2>&1 || {
		tail -n 20 "$dir/$1.log" >&2
		die "$1 failed to build: see $dir/$1.log"
	}
	stamp "$1" >"$work/out/stamp"
	[ ! -d "$dir/$1" ] || mv "$dir/$1" "$work/before"
	mv "$work/out" "$dir/$1"
	rm -rf "$work"
}

# Replace file $1 by standard input, if they differ. A second argument "executable" sets its mode.
update() {
	mkdir -p "$(dirname "$1")"
	cat >"$1.part"
	if cmp -s "$1.part" "$1"; then
		rm "$1.part"
	else
		[ "${2:-}" != executable ] || chmod 755 "$1.part"
		mv "$1.part" "$1"
	fi
}

# The compiler for this musl, as a script. A static PIE starts at rcrt1.o (with crt1.o it would crash).
# For arm and riscv GCC's -static-pie would name a dynamic linker, which is not there.
compiler() {
	update "$cc" executable <<END
#!/bin/sh
# $gcc against musl, linking static PIEs: made by third_party/build.sh
# musl: $(stamp musl)
musl=\$(cd "\$(dirname "\$0")/../musl" && pwd)
for arg; do
	case \$arg in
	-c | -S | -E | -M | -MM | -fsyntax-only)
		exec "$gcc" $abi -nostdinc -isystem "\$musl/include" -isystem "$("$gcc" -print-file-name=include)" "\$@" ;;
	esac
done
exec "$gcc" $abi -nostdinc -isystem "\$musl/include" -isystem "$("$gcc" -print-file-name=include)" \\
	-nostdlib -static-pie -Wl,--no-dynamic-linker,-z,text \\
	"\$musl/lib/rcrt1.o" "\$musl/lib/crti.o" "$("$gcc" -print-file-name=crtbeginS.o)" \\
	"\$@" -x none -L"\$musl/lib" -Wl,--start-group -lc "$("$gcc" -print-libgcc-file-name)" -Wl,--end-group \\
	"$("$gcc" -print-file-name=crtendS.o)" "\$musl/lib/crtn.o"
END
}

# All licence texts. All are MIT licences: paragraphs that differ from one before only in their lines are not repeated.
licenses() {
	all_licenses | sed '/^-*$/s/.*//' | awk 'BEGIN { RS = "" } {
		text = $0
		gsub(/[ \n]+/, " ", text)
		sub(/ $/, "", text)
		if (!(text in seen)) print $0 "\n"
		else if (!again) print "(The terms are as above.)\n"
		again = text in seen
		seen[text]
	}'
}

all_licenses() {
	pin stalprep
	printf 'stalprep %s\n\n' "$version"
	cat LICENSE
	for part in $components; do
		pin "$part"
		printf '\n\n%s %s\n\n' "$part" "$version"
		cat "$dir/$part/LICENSE"
	done
}

missing=
for part in $components; do
	is_built "$part" || missing="$missing $part"
done
# shellcheck disable=SC2086  # names are words
[ -z "$missing" ] || third_party/fetch.sh $missing
for part in $components; do
	is_built "$part" || build "$part"
	[ "$part" != musl ] || compiler
done
text=$(licenses)
printf '%s\n' "$text" | update "$dir/licenses.txt"
