# Builds stalprep's own code with a C library, BearSSL and cJSON that are there already (./build.sh builds those):
#
#   make CC=... BEARSSL=DIR CJSON=DIR        build/stalprep; the folders have include and lib
#   make install DESTDIR=... PREFIX=/usr     install $(BIN), manual (MANGZ=1: compressed), completions, licences; make uninstall
#   make unit [TESTS="addr json"]            all unit tests, or these; needs cmocka
#   make unit-asan                           the same under AddressSanitizer and UBSan (not with musl)
#   make fuzz [TARGETS="url json"]           all fuzz targets, or these, under both, FUZZ_SECONDS=60 each; needs clang (not with musl)
#   make check, make test                    all tests: the same as ./build.sh test
#   make bench                               measure it beside what it is compared with: the same as ./build.sh bench
#   make format                              format the C code with the clang-format that VERSIONS names
#   make messages                            list all texts that a user may read; needs gettext
#
# LINK=-pie links dynamically. BEARSSL=/usr CJSON=/usr are the system's own libraries. LICENSES=FILE is the text of
# `stalprep licenses`, which is installed too; LIBRARIES="musl 1.2.5, ..." is a line of --version. WERROR=-Werror makes
# warnings errors.
# V=1 shows the commands.

BUILD     = build/obj
BIN       = build/stalprep
PREFIX    = /usr/local
LICENSES  = LICENSE
LINK      = -static-pie
CFLAGS   ?= -Os
FORTIFY   = -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
WERROR    =
SANITIZE  =
VERSION  := $(shell awk '$$1 == "stalprep" { print $$2 }' VERSIONS)
LIBRARIES =
# A release's source archive has the commit in a file, since it has no history.
COMMIT   := $(firstword $(shell { if [ -e .git ]; then git -c safe.directory='*' describe --always --exclude='*' --abbrev=12 \
	--dirty; else cat build/sources/commit; fi; } 2>/dev/null) unknown)
ABOUT     = stalprep $(VERSION) (commit $(COMMIT))\n$(if $(LIBRARIES),$(LIBRARIES)\n)

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wvla -Wwrite-strings \
	-Wformat=2 -Wundef -Wcast-qual -Wcast-align -Wpointer-arith -Wredundant-decls -Wnested-externs -Wdate-time
CODE := -std=c11 -fPIE -ffile-prefix-map=$(CURDIR)=. -ffunction-sections -fdata-sections -fstack-protector-strong -fno-asynchronous-unwind-tables
DEFS := -D_GNU_SOURCE $(FORTIFY) -iquote src -isystem $(BEARSSL)/include -isystem $(CJSON)/include -isystem $(CJSON)/include/cjson
LIBS := -L$(BEARSSL)/lib -lbearssl -L$(CJSON)/lib -lcjson
SAFE := -Wl,--gc-sections -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,--build-id=none

COMPILE := $(CC) $(CODE) $(CFLAGS) $(SANITIZE) $(WARN) $(WERROR) $(CPPFLAGS) $(DEFS)
SOURCES := $(wildcard src/*.c src/*/*.c)
OBJS    := $(SOURCES:src/%.c=$(BUILD)/%.o) $(BUILD)/licenses.o
TESTS    = $(patsubst test/unit/test_%.c,%,$(wildcard test/unit/test_*.c))
# if one of these is newer, all objects are built again
OUTSIDE := $(wildcard $(CC) $(BEARSSL)/lib/libbearssl.* $(CJSON)/lib/libcjson.*)

Q := $(if $(V),,@)

# Each file is written under another name first, so that an interrupted run leaves no half-written file.
all: $(BIN) $(BIN).licenses completions

$(BIN): $(OBJS) $(BUILD)/link
	@mkdir -p $(@D)
	@echo "  LD $@"
	$(Q)$(CC) $(CODE) $(CFLAGS) $(SANITIZE) $(LINK) -s $(SAFE) $(LDFLAGS) -Wl,-Map=$(BUILD)/map -o $@.part $(OBJS) $(LIBS)
	@mv $@.part $@

$(BIN).licenses: $(LICENSES)
	@mkdir -p $(@D)
	@cp $< $@

$(BUILD)/%.o: src/%.c $(BUILD)/compile $(OUTSIDE)
	@mkdir -p $(@D)
	@echo "  CC $<"
	$(Q)$(COMPILE) -MMD -MP -MT $@ -MF $@.d.part -c -o $@.part $<
	@mv $@.d.part $(@:.o=.d) && mv $@.part $@

# Only this one has to be built again at another commit.
$(BUILD)/main.o: private COMPILE += -DVERSION='"$(ABOUT)"'
$(BUILD)/main.o: $(BUILD)/about

$(BUILD)/licenses.o: $(BUILD)/licenses.c
	$(Q)$(COMPILE) -c -o $@.part $<
	@mv $@.part $@

$(BUILD)/licenses.c: $(LICENSES) $(BUILD)/compile
	@{ echo '#include <stddef.h>'; \
	echo 'extern const char licenses_text[]; extern const size_t licenses_len;'; \
	echo 'const char licenses_text[] ='; \
	sed -e 's/[\\"?]/\\&/g' -e 's/.*/"&\\n"/' $(LICENSES); \
	echo '; const size_t licenses_len = sizeof(licenses_text) - 1;'; } >$@.part
	@mv $@.part $@

# These files hold the flags, the list of files and the version. A change of them builds the objects and the binary again.
$(BUILD)/compile: export text = $(COMPILE) $(LICENSES)
$(BUILD)/link: export text = $(LINK) $(SAFE) $(LDFLAGS) $(OBJS) $(LIBS)
$(BUILD)/about: export text = $(ABOUT)
$(BUILD)/compile $(BUILD)/link $(BUILD)/about: FORCE
	@[ -n "$(BEARSSL)" ] && [ -n "$(CJSON)" ] || \
		{ echo "make: BEARSSL=DIR and CJSON=DIR are needed, or just ./build.sh" >&2; exit 1; }
	@mkdir -p $(@D)
	@printf '%s\n' "$$text" >$@.part
	@if cmp -s $@.part $@; then rm $@.part; else mv $@.part $@; fi

# Unit tests: one program for each module, linked with all objects but main.
SANITIZED = $(if $(SANITIZE), under sanitizers)

unit: $(TESTS:%=unit-run-%)

unit-run-%: $(BUILD)/unit/test_% FORCE
	@if $< >$<.log 2>&1; then echo "ok   $*$(SANITIZED)"; else cat $<.log; echo "FAIL $*$(SANITIZED)"; exit 1; fi

$(BUILD)/unit/test_%: test/unit/test_%.c $(BUILD)/libstalprep.a
	@mkdir -p $(@D)
	@echo "  CC $<"
	$(Q)$(COMPILE) -MMD -MP -MT $@ -MF $@.d.part -o $@.part $< $(BUILD)/libstalprep.a $(LIBS) -lcmocka
	@mv $@.d.part $@.d && mv $@.part $@

$(BUILD)/libstalprep.a: $(filter-out $(BUILD)/main.o,$(OBJS)) $(BUILD)/link
	@rm -f $@.part
	$(AR) rcs $@.part $(filter %.o,$^)
	@mv $@.part $@

unit-asan:
	+$(MAKE) unit BUILD=$(BUILD)-asan FORTIFY= \
		SANITIZE='-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer'

# Fuzzing: one program for each target. New inputs, and those that crash it, are kept beside the program. For AFL++:
# `make fuzz-build FUZZ_CC=afl-clang-fast`. A run that finds nothing adds a line to build/fuzz-counts (test/fuzz/EXECUTIONS).
FUZZ_CC      = clang
FUZZ_SECONDS = 60
FUZZ_CORPUS  = corpus
REVISION     = $(or $(shell git describe --always --dirty 2>/dev/null),$(VERSION))
TARGETS      = $(patsubst test/fuzz/fuzz_%.c,%,$(wildcard test/fuzz/fuzz_*.c))
FUZZ_MAKE    = $(MAKE) BUILD=$(BUILD)-fuzz CC=$(FUZZ_CC) FORTIFY= WERROR= WARN='-Wall -Wextra -Wno-missing-field-initializers' \
	SANITIZE='-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer'

fuzz:
	+$(FUZZ_MAKE) $(TARGETS:%=fuzz-run-%)

fuzz-build:
	+$(FUZZ_MAKE) $(TARGETS:%=fuzz-build-%)

fuzz-build-%: $(BUILD)/fuzz/fuzz_% ;

fuzz-run-%: $(BUILD)/fuzz/fuzz_% FORCE
	@mkdir -p $<.$(FUZZ_CORPUS)
	@if $< -max_total_time=$(FUZZ_SECONDS) -timeout=30 -print_final_stats=1 -artifact_prefix=$<. \
		$(patsubst %,-dict=%,$(wildcard test/fuzz/$*.dict)) $<.$(FUZZ_CORPUS) test/fuzz/corpus/$* >$<.log 2>&1; \
	then times=$$(sed -n 's/^stat::number_of_executed_units: *//p' $<.log); echo "ok   $* fuzzed, times run: $$times"; \
		echo "$* $$times $$(sed -n 's/^INFO: Seed: //p' $<.log) $(REVISION)" >>build/fuzz-counts; \
	else tail -n 60 $<.log; echo "FAIL $*: see $<.log"; exit 1; fi

$(BUILD)/fuzz/fuzz_%: test/fuzz/fuzz_%.c $(BUILD)/libstalprep.a
	@mkdir -p $(@D)
	@echo "  CC $<"
	$(Q)$(COMPILE) -fsanitize=fuzzer -MMD -MP -MT $@ -MF $@.d.part -o $@.part $< $(BUILD)/libstalprep.a $(LIBS)
	@mv $@.d.part $@.d && mv $@.part $@

# Programs that the tests of the binary run. They are linked with the binary's own objects.
HELPERS = $(patsubst test/%.c,build/test/%,$(wildcard test/*.c))

helpers: $(HELPERS)

build/test/%: test/%.c $(OBJS) $(BUILD)/link
	@mkdir -p $(@D)
	@echo "  CC $<"
	$(Q)$(COMPILE) $(LINK) $(SAFE) $(LDFLAGS) -MMD -MP -MT $@ -MF $@.d.part -o $@.part $< \
		$(filter-out $(BUILD)/main.o,$(OBJS)) $(LIBS)
	@mv $@.d.part $@.d && mv $@.part $@

# Every string with a word and a blank behind it, with its file and line.
messages:
	@xgettext --extract-all --language=C --from-code=UTF-8 --omit-header --no-wrap --sort-by-file -o - $(SOURCES) 2>/dev/null | \
		awk '/^#: / && !at { at = $$2 } \
		/^(msgid )?"/ { sub(/^msgid /, ""); text = text substr($$0, 2, length - 2) } \
		/^msgstr/ { if (text ~ /[a-z]+ /) print at ": " text; at = text = "" }'

# For the release.
commit:
	@echo $(COMMIT)

# Static checks.
SCRIPTS      = build.sh .ci/run $(wildcard src/dist/*.sh third_party/*.sh test/*.sh)
C_FILES      = $(wildcard src/*.[ch] src/*/*.[ch] test/*.[ch] test/*/*.[ch])
CLANG_FORMAT = build/clang-format/clang-format

shellcheck:
	@shellcheck $(SCRIPTS)
	@echo "ok   shellcheck"

# cppcheck reads only src.
cppcheck:
	@mkdir -p $(BUILD)-cppcheck
	@cppcheck --quiet --error-exitcode=1 --std=c11 --library=posix,gnu --cppcheck-build-dir=$(BUILD)-cppcheck \
		--enable=warning,performance,portability --inline-suppr \
		--suppress=missingIncludeSystem --suppress=normalCheckLevelMaxBranches \
		-D_GNU_SOURCE -DVERSION='""' -Isrc src
	@echo "ok   cppcheck"

format-check:
	@$(CLANG_FORMAT) --dry-run -Werror $(C_FILES) || { echo "FAIL format: run make format"; exit 1; }
	@echo "ok   format"

format-all:
	@$(CLANG_FORMAT) -i $(C_FILES)

# These get their tools and libraries first.
format:
	./build.sh format

test check:
	./build.sh test

bench:
	./build.sh bench

# Where install puts what; a distribution may have other folders for the completions.
BINDIR     = $(PREFIX)/bin
MANDIR     = $(PREFIX)/share/man/man1
LICENSEDIR = $(PREFIX)/share/licenses/stalprep
BASHDIR    = $(PREFIX)/share/bash-completion/completions
ZSHDIR     = $(PREFIX)/share/zsh/site-functions
FISHDIR    = $(PREFIX)/share/fish/vendor_completions.d
MANGZ      =

# The binary was built before; this needs no compiler. uninstall leaves folders that others use too.
install: completions
	@[ -f $(BIN) ] || { echo "make: there is no $(BIN) yet: build it first" >&2; exit 1; }
	install -d $(addprefix $(DESTDIR),$(BINDIR) $(MANDIR) $(LICENSEDIR) $(BASHDIR) $(ZSHDIR) $(FISHDIR))
	install -m 755 $(BIN) $(DESTDIR)$(BINDIR)/stalprep
	install -m 644 src/dist/stalprep.1 $(DESTDIR)$(MANDIR)/stalprep.1
	$(if $(MANGZ),gzip -nf9 $(DESTDIR)$(MANDIR)/stalprep.1,rm -f $(DESTDIR)$(MANDIR)/stalprep.1.gz)
	install -m 644 $(BIN).licenses $(DESTDIR)$(LICENSEDIR)/LICENSES
	install -m 644 build/completions/bash $(DESTDIR)$(BASHDIR)/stalprep
	install -m 644 build/completions/zsh $(DESTDIR)$(ZSHDIR)/_stalprep
	install -m 644 build/completions/fish $(DESTDIR)$(FISHDIR)/stalprep.fish

uninstall:
	rm -f $(addprefix $(DESTDIR),$(BINDIR)/stalprep $(MANDIR)/stalprep.1 $(MANDIR)/stalprep.1.gz $(LICENSEDIR)/LICENSES \
		$(BASHDIR)/stalprep $(ZSHDIR)/_stalprep $(FISHDIR)/stalprep.fish)
	[ ! -d $(DESTDIR)$(LICENSEDIR) ] || rmdir $(DESTDIR)$(LICENSEDIR)

# The shells' completions come from the tables of the source, not from the binary, which may be for another processor.
# Two makes may do this at once, so each has a file of its own.
TABLES = src/cmd/option_table.h src/cmd/cli.c src/cmd/option_table.c src/base/refusal.c src/settings/changeset.c

completions: build/completions/bash build/completions/zsh build/completions/fish

build/completions/%: src/dist/completions.awk $(TABLES)
	@mkdir -p $(@D)
	@awk -v shell=$* -f $< $(TABLES) >$@.$$$$ && mv $@.$$$$ $@

clean:
	rm -rf $(BUILD) $(BUILD)-asan $(BUILD)-fuzz $(BIN) $(BIN).licenses build/completions

FORCE:

.PHONY: all commit messages unit unit-asan fuzz fuzz-build helpers shellcheck cppcheck format-check format-all format test check bench install \
	uninstall completions clean FORCE
.SECONDARY:

-include $(wildcard $(BUILD)/*.d $(BUILD)/*/*.d $(HELPERS:=.d))
