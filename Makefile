# closewait. Everything that is made goes under $(BUILD). Most people need three targets: all,
# test and demo. The last two first install what they miss; deps installs all of it.

CC      ?= cc
CFLAGS  ?= -O2 -g
LDFLAGS ?=
PREFIX  ?= /usr/local
BINDIR  ?= $(PREFIX)/bin
LIBDIR  ?= $(PREFIX)/lib
DATADIR ?= $(PREFIX)/share/closewait
MANDIR  ?= $(PREFIX)/share/man
BASHDIR ?= $(PREFIX)/share/bash-completion/completions
ZSHDIR  ?= $(PREFIX)/share/zsh/site-functions
DESTDIR ?=
BUILD   ?= build
VERSION := $(shell sed -n 's/.*CLOSEWAIT_VERSION "\(.*\)"/\1/p' shim/version.h)

# make M32=1 builds the shim for 32-bit programs on x86-64, under its own folder.
ifdef M32
BUILD  := $(BUILD)/m32
CFLAGS += -m32 -Wno-psabi
endif

WARNINGS := -Wall -Wextra -Wconversion -Wshadow -Wmissing-prototypes -Werror
BASE     := -std=gnu11 $(WARNINGS) -MMD -MP -Ishim

# The shim lives in other people's processes, with whatever libc is there. Nothing that would need
# a name of glibc's alone, and no TLS (its thread has none): no fortified calls, no stack
# protector; on aarch64 no atomics from libgcc, which ask glibc's __getauxval for the processor.
# -z now: its thread must never enter the lazy binder. Unwind tables: a thread that is
# cancelled in recv unwinds through our hook.
SHIM_CFLAGS  := -fPIC -fno-plt -fvisibility=hidden -U_FORTIFY_SOURCE -fno-stack-protector \
	-fasynchronous-unwind-tables -fdata-sections $(if $(filter aarch64%,$(shell $(CC) -dumpmachine 2>/dev/null)),-mno-outline-atomics)
SHIM_LDFLAGS := -shared -nostdlib -Wl,-soname,libclosewait.so -Wl,-z,now -Wl,-z,relro -Wl,-z,noseparate-code -Wl,--sort-section=alignment \
	-Wl,-z,noexecstack -Wl,--exclude-libs,ALL -Wl,--as-needed
# A hook has no frame of its own, so that its quick way costs a few instructions: the caller's frame
# pointer stays in its register, where gcc can be told so (caller.h).
FP           := $(if $(M32),ebp,rbp)
FIXED_FP     := $(shell $(CC) $(CFLAGS) -Werror -ffixed-$(FP) -x c -c -o /dev/null /dev/null 2>/dev/null && \
	echo '-ffixed-$(FP) -fomit-frame-pointer -DFIXED_FP="\"$(FP)\""')
# <sys/sdt.h> (shim/usdt.h) is for every processor, but Debian keeps it in a folder of one: the
# compiler for another is shown it, after all others. Without it there are no probes.
SDT_H        := $(firstword $(wildcard /usr/include/sys/sdt.h /usr/include/*/sys/sdt.h))
SHIM_CFLAGS  += $(if $(SDT_H),-idirafter $(patsubst %/sys/sdt.h,%,$(SDT_H)))
LIBBSD_A      = $(shell $(CC) $(CFLAGS) -print-file-name=libbsd.a)

objects = $(patsubst %.c,$(BUILD)/%.o,$(wildcard $(1)/*.c))

SHIM_OBJ    := $(call objects,shim)
CLI_OBJ     := $(call objects,cli)
TEST_OBJ    := $(call objects,tests)
PROGRAM_OBJ := $(call objects,tests/programs)
FUZZ_OBJ    := $(call objects,tests/fuzz)
VERDICT_OBJ := $(call objects,tests/verdicts)
DEMO_OBJ    := $(call objects,demo)
DEMO        := $(DEMO_OBJ:.o=)
# The command reads options and judges with the shim's own code, and tells with its words.
CLI_SHARED  := $(addprefix $(BUILD)/shim/,options.o text.o endpoint.o json.o judge.o keepalive.o kernel.o names.o prose.o \
	prose_holder.o prose_shortage.o suppress.o trend.o hindsight.o journal.o vdso.o utf8.o)
# What finds functions and lines. libiberty.a for its demanglers of C++ and Rust.
SYMBOL_OBJ  := $(addprefix $(BUILD)/cli/,symbol.o lines.o ranges.o image.o strings.o demangle.o)
SYMBOL_LIBS := -ldw -lelf -liberty
# The tests look at all of the shim from within but for the hooks and the boot, which would make
# the tests themselves a program under the shim.
UNIT_OBJ    := $(filter-out $(BUILD)/shim/hooks.o $(BUILD)/shim/init.o,$(SHIM_OBJ))
TEST_PROGRAMS := $(addprefix $(BUILD)/tests/,doors inline manners flood caller-O0 caller-O2 caller-omit caller-frame thrower plugin.so storm leaker leaker-musl leaker-static \
	leaker-musl-static leaker-fortified leaker-lfs leaker-tsan names names-musl early.so places places-O0 \
	places-cxx places-cxx-O0 find blocked restless records standing verdicts/end)

# A program that libc never sees, where there is Go; its tests are skipped elsewhere.
TEST_GO       := $(addprefix $(BUILD)/tests/,go-server go-server-dynamic)
TEST_PROGRAMS += $(if $(shell command -v go),$(TEST_GO))

# And one in Rust, whose standard library calls libc.
TEST_PROGRAMS += $(if $(shell command -v rustc),$(BUILD)/tests/rust-client)

all: $(BUILD)/libclosewait.so $(BUILD)/closewait $(DEMO)

$(BUILD)/libclosewait.so: $(SHIM_OBJ) $(BUILD)/shim/versions.map
	$(CC) $(CFLAGS) $(SHIM_LDFLAGS) -Wl,--version-script=$(BUILD)/shim/versions.map $(LDFLAGS) \
		-o $@ $(SHIM_OBJ) $(LIBBSD_A) -lgcc $(if $(M32),-l:libc_nonshared.a)
	$(if $(SDT_H),,@echo "no <sys/sdt.h> (systemtap-sdt-dev): $@ has no static probes")

# The versions of those names that only glibc has (GLIBC in calls.h). What the shim exports, its
# compiler knows: hidden is the default, and the hooks alone are not.
$(BUILD)/shim/versions.map: shim/calls.h
	@mkdir -p $(@D)
	printf '#define CALL(...)\n#define GLIBC(name, version) version\n#include "calls.h"\n' | \
		$(CC) $(CFLAGS) -E -P -Ishim -x c - | tr -d '" ' | sort -u | sed '/./s/$$/ {};/' >$@

$(BUILD)/closewait: $(CLI_OBJ) $(CLI_SHARED)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(SYMBOL_LIBS) -lmnl -lsmartcols -ljansson -lpthread -lbsd

$(DEMO): %: %.o
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $< -lbsd

$(BUILD)/tests/closewait-tests: $(TEST_OBJ) $(UNIT_OBJ) $(BUILD)/cli/preload.o $(SYMBOL_OBJ) \
	$(addprefix $(BUILD)/cli/,accepted.o array.o container.o members.o metrics.o must.o series.o)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lcriterion $(SYMBOL_LIBS) -ljansson -lbsd -lutil

$(BUILD)/tests/leaker: $(BUILD)/tests/programs/leaker.o
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $<

# Either end of a scenario of tests/verdicts, and the same with io_uring.
$(BUILD)/tests/verdicts/end: $(filter-out %/uring.o,$(VERDICT_OBJ))
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^

$(BUILD)/tests/verdicts/end-uring: $(VERDICT_OBJ)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -luring

# A program under the shim that can see its table: the shim is linked in.
$(BUILD)/tests/doors: $(filter $(BUILD)/tests/programs/doors%,$(PROGRAM_OBJ)) $(BUILD)/tests/linked-hooks.o \
	$(filter-out $(BUILD)/shim/hooks.o,$(SHIM_OBJ))
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBBSD_A)

# Each row makes its leak at a site of its own: its frame stays on the stack.
$(BUILD)/tests/programs/doors%.o: CFLAGS += -fno-optimize-sibling-calls

# Names with a version are for the dynamic linker: a program that has the shim linked in would
# call libc's close_range.
$(BUILD)/tests/linked-hooks.o: shim/hooks.c
	@mkdir -p $(@D)
	$(CC) $(BASE) $(CFLAGS) $(SHIM_CFLAGS) $(FIXED_FP) -DUNVERSIONED -c -o $@ $<

$(BUILD)/shim/hooks.o: SHIM_CFLAGS += $(FIXED_FP)

# All but what a call of the program's goes through is small rather than quick: it is resident.
HOT_OBJ := $(addprefix $(BUILD)/shim/,hooks.o track.o slots.o stack.o owner.o pipe.o memory.o)
$(filter-out $(HOT_OBJ),$(SHIM_OBJ)): SHIM_CFLAGS += $(if $(filter -O2,$(CFLAGS)),-Os)

# A watcher that sweeps all the time, and for a sanitizer a thread that it knows.
STORM_OBJ := $(BUILD)/tests/programs/storm.o $(BUILD)/tests/storm-watch.o $(BUILD)/tests/storm-sweep.o $(BUILD)/tests/linked-hooks.o \
	$(filter-out $(BUILD)/shim/watch.o $(BUILD)/shim/sweep.o $(BUILD)/shim/hooks.o $(if $(SANITIZE),$(BUILD)/shim/thread.o),$(SHIM_OBJ)) \
	$(if $(SANITIZE),$(BUILD)/tests/programs/pthread_thread.o)

$(BUILD)/tests/storm-%.o: shim/%.c
	@mkdir -p $(@D)
	$(CC) $(BASE) $(CFLAGS) $(SHIM_CFLAGS) -DSWEEP_MS=1 -c -o $@ $<

$(BUILD)/tests/storm: $(STORM_OBJ)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBBSD_A) -lpthread

# The same program twice more: one that the shim can be loaded into, one that it cannot.
$(BUILD)/tests/leaker-musl: tests/programs/leaker.c
	@mkdir -p $(@D)
	musl-gcc -std=gnu11 $(WARNINGS) -O2 -o $@ $<

$(BUILD)/tests/leaker-musl-static: tests/programs/leaker.c
	@mkdir -p $(@D)
	musl-gcc -std=gnu11 $(WARNINGS) -O2 -static -o $@ $<

$(BUILD)/tests/manners: $(BUILD)/tests/programs/manners.o
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $<

$(BUILD)/tests/inline: $(BUILD)/tests/programs/inline.o
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $<

$(BUILD)/tests/blocked $(BUILD)/tests/restless: $(BUILD)/tests/%: $(BUILD)/tests/programs/%.o
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $< -lpthread

$(BUILD)/tests/standing: $(BUILD)/tests/programs/standing.o
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $< -lpthread -lbsd

$(BUILD)/tests/flood: $(BUILD)/tests/programs/flood.o
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $<

# One chain of calls, as compilers make it.
$(BUILD)/tests/caller-O0: MAKE_AS := -O0
$(BUILD)/tests/caller-O2: MAKE_AS := -O2
$(BUILD)/tests/caller-omit: MAKE_AS := -O2 -fomit-frame-pointer
$(BUILD)/tests/caller-frame: MAKE_AS := -O2 -fno-omit-frame-pointer
$(BUILD)/tests/caller-%: tests/programs/caller.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 $(WARNINGS) -g $(MAKE_AS) -o $@ $<

$(BUILD)/tests/thrower: tests/programs/thrower.cc tests/programs/caller.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 $(WARNINGS) -g -O2 -Wno-missing-prototypes -Dmain=unused -c -o $@.o tests/programs/caller.c
	$(CXX) -std=c++17 -Wall -Wextra -Werror -g -O2 -o $@ $< $@.o

$(BUILD)/tests/plugin.so: tests/programs/plugin.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 $(WARNINGS) -g -O2 -fPIC -shared -o $@ $<

$(BUILD)/tests/names: $(BUILD)/tests/programs/names.o
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $<

$(BUILD)/tests/names-musl: tests/programs/names.c shim/calls.h
	@mkdir -p $(@D)
	musl-gcc -std=gnu11 $(WARNINGS) -Ishim -O2 -o $@ $<

$(BUILD)/tests/leaker-static: $(BUILD)/tests/programs/leaker.o
	$(CC) $(CFLAGS) $(LDFLAGS) -static -o $@ $<

# And as distributions build: with checked reads, and with 64-bit file offsets.
$(BUILD)/tests/leaker-fortified: tests/programs/leaker.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 $(WARNINGS) -O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -o $@ $<

$(BUILD)/tests/leaker-lfs: tests/programs/leaker.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 $(WARNINGS) -O2 -D_FILE_OFFSET_BITS=64 -o $@ $<

$(BUILD)/tests/leaker-tsan: tests/programs/leaker.c
	@mkdir -p $(@D)
	gcc -std=gnu11 $(WARNINGS) -O1 -fsanitize=thread -o $@ $<

# A library that has sockets in its constructor and its destructor.
$(BUILD)/tests/early.so: tests/programs/early.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 $(WARNINGS) -O2 -fPIC -shared -o $@ $<

$(BUILD)/tests/go-server:         CGO := 0
$(BUILD)/tests/go-server-dynamic: CGO := 1
$(TEST_GO): tests/go/server.go
	@mkdir -p $(@D)
	CGO_ENABLED=$(CGO) GO111MODULE=off GOCACHE=$(abspath $(BUILD))/go go build -o $@ $<

# It would take what MAKEFLAGS says of jobs as said to itself.
$(BUILD)/tests/rust-client: tests/programs/client.rs
	@mkdir -p $(@D)
	MAKEFLAGS= rustc -g -o $@ $<

$(BUILD)/tests/records: $(BUILD)/tests/programs/records.o
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $<

$(BUILD)/tests/find: $(BUILD)/tests/programs/find.o $(SYMBOL_OBJ)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(SYMBOL_LIBS)

# By libFuzzer, which has the main function.
$(BUILD)/tests/fuzz/options: $(BUILD)/tests/fuzz/options.o $(addprefix $(BUILD)/shim/,options.o text.o)
	$(CC) $(CFLAGS) -fsanitize=fuzzer $(LDFLAGS) -o $@ $^ -lbsd

$(BUILD)/tests/fuzz/suppress: $(BUILD)/tests/fuzz/suppress.o \
	$(addprefix $(BUILD)/shim/,suppress.o names.o text.o)
	$(CC) $(CFLAGS) -fsanitize=fuzzer $(LDFLAGS) -o $@ $^

$(BUILD)/tests/fuzz/record: $(BUILD)/tests/fuzz/record.o $(addprefix $(BUILD)/cli/,retell.o output.o quiet.o told_json.o traces.o) \
	$(SYMBOL_OBJ) $(CLI_SHARED)
	$(CC) $(CFLAGS) -fsanitize=fuzzer $(LDFLAGS) -o $@ $^ $(SYMBOL_LIBS) -ljansson -lbsd

$(BUILD)/tests/fuzz/groups: $(BUILD)/tests/fuzz/groups.o $(SYMBOL_OBJ) $(CLI_SHARED) \
	$(addprefix $(BUILD)/cli/,groups.o groups_text.o groups_json.o groups_folded.o queues.o entry.o tally.o tally_count.o traces.o \
	frames.o must.o array.o colors.o members.o counts.o kept_stack.o quota.o \
	series.o events.o groups_html.o page_data.o page_tables.o page_cells.o page_text.o page_files.o)
	$(CC) $(CFLAGS) -fsanitize=fuzzer $(LDFLAGS) -o $@ $^ $(SYMBOL_LIBS) -ljansson -lbsd

# Programs that know their own places, in both formats of DWARF that are about, in either kind of
# executable. By gcc: addr2line, which the tests compare with, misreads what clang writes.
PLACES = -std=$(1) $(filter-out -Wmissing-prototypes,$(WARNINGS)) -Wl,--build-id=sha1 -o $@ $<

$(BUILD)/tests/places: tests/programs/places.c
	@mkdir -p $(@D)
	gcc -O2 -gdwarf-5 -pie -fPIE $(call PLACES,gnu11)

$(BUILD)/tests/places-O0: tests/programs/places.c
	@mkdir -p $(@D)
	gcc -O0 -gdwarf-4 -no-pie $(call PLACES,gnu11)

$(BUILD)/tests/places-cxx: tests/programs/places.cc
	@mkdir -p $(@D)
	g++ -O2 -gdwarf-4 -pie -fPIE $(call PLACES,gnu++17)

$(BUILD)/tests/places-cxx-O0: tests/programs/places.cc
	@mkdir -p $(@D)
	g++ -O0 -gdwarf-5 -pie -fPIE $(call PLACES,gnu++17)

$(BUILD)/shim/%.o: shim/%.c
	@mkdir -p $(@D)
	$(CC) $(BASE) $(CFLAGS) $(SHIM_CFLAGS) -c -o $@ $<

$(BUILD)/cli/preload.o: BASE += -DLIBDIR='"$(LIBDIR)"'

# The page of closewait report --format=html is in the command, and knows its own script and style.
PAGE_JS   := $(addprefix cli/page,.js _timeline.js _icicle.js _records.js)
page_hash = sha256-$(shell cat $(1) | sha256sum | cut -c 1-64 | tr a-f A-F | basenc -d --base16 | base64)
$(BUILD)/cli/page_files.o: BASE += -DPAGE_CSS_HASH='"$(call page_hash,cli/page.css)"' \
	-DPAGE_JS_HASH='"$(call page_hash,$(PAGE_JS))"'
$(BUILD)/cli/page_files.o: cli/page.html cli/page.css $(PAGE_JS)

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(BASE) $(CFLAGS) -c -o $@ $<

demo: all
	BUILD=$(BUILD) demo/demo.sh

# The story's pair in Go: a client that no library can be loaded into, and one that calls none of
# libc's functions. Of what go leaves in its cache nothing is ours to remove.
GO_PROGRAMS := $(addprefix $(BUILD)/,demo/go/server demo/go/client-static demo/go/client-dynamic \
	tests/go/busy-static tests/go/busy-dynamic)

$(filter %-static %/server,$(GO_PROGRAMS)): CGO := 0
$(filter %-dynamic,$(GO_PROGRAMS)): CGO := 1
$(BUILD)/demo/go/server: demo/go/server/main.go
$(filter %-static %-dynamic,$(filter $(BUILD)/demo/%,$(GO_PROGRAMS))): demo/go/client/main.go
$(filter $(BUILD)/tests/%,$(GO_PROGRAMS)): tests/go/busy/main.go
$(GO_PROGRAMS):
	CGO_ENABLED=$(CGO) go build -trimpath -o $@ $<

demo-go: all $(filter $(BUILD)/demo/go/%,$(GO_PROGRAMS))
	BUILD=$(BUILD) demo/go/demo.sh

test: all $(BUILD)/tests/closewait-tests $(TEST_PROGRAMS)
	BUILD=$(BUILD) $(BUILD)/tests/closewait-tests --timeout 120

# 8 threads that reuse numbers as fast as they can, plain and under each sanitizer.
STORM = CLOSEWAIT_OPTIONS=action=close,grace=1ms,output=/dev/null
SECONDS ?= 20
sanitized = $(MAKE) BUILD=$(BUILD)/$(1) CC=clang SANITIZE=$(1) \
	CFLAGS='-O1 -g -fsanitize=$(2) -fno-sanitize-recover=all' $(BUILD)/$(1)/tests/storm && \
	$(STORM) $(BUILD)/$(1)/tests/storm $(SECONDS)

stress: $(BUILD)/tests/storm
	$(STORM) $(BUILD)/tests/storm $(SECONDS)
	$(call sanitized,asan,address)
	$(call sanitized,ubsan,undefined)
	$(call sanitized,tsan,thread)

# What reads text that others wrote, each part for SECONDS: from the corpus that is kept, with what
# was found to be new kept under $(BUILD) for the next time. A failure leaves its input there too.
FUZZERS    := options suppress record groups
FUZZ       := $(BUILD)/fuzz
FUZZ_FLAGS := -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
fuzz_one    = mkdir -p $(FUZZ)/corpus/$(1) $(FUZZ)/failures && BUILD=$(BUILD) $(FUZZ)/tests/fuzz/$(1) \
	-max_total_time=$(SECONDS) -timeout=10 -rss_limit_mb=1024 -verbosity=0 -print_final_stats=1 \
	-artifact_prefix=$(abspath $(FUZZ))/failures/$(1)- \
	$(abspath $(FUZZ)/corpus/$(1) tests/fuzz/corpus/$(1))

fuzz: $(addprefix $(BUILD)/tests/,places places-cxx)
	$(MAKE) BUILD=$(FUZZ) CC=clang CFLAGS='$(FUZZ_FLAGS)' $(addprefix $(FUZZ)/tests/fuzz/,$(FUZZERS))
	$(call fuzz_one,options)
	$(call fuzz_one,suppress)
	$(call fuzz_one,record)
	$(call fuzz_one,groups)

# What takes long, the quicker of it first: real programs with and without the shim, in Go too,
# valgrind, 32 bits; deployments and containers, by the packages that are made before; packages and
# tarball in a Debian of their own, and aarch64 by qemu.
test-long: all $(TEST_PROGRAMS) $(TEST_GO) $(GO_PROGRAMS)
	$(MAKE) M32=1 $(addprefix $(BUILD)/m32/,libclosewait.so tests/leaker tests/doors)
	BUILD=$(BUILD) tests/long/m32.sh
	BUILD=$(BUILD) tests/long/journal.sh
	BUILD=$(BUILD) tests/long/page.py
	BUILD=$(BUILD) tests/long/node.sh
	BUILD=$(BUILD) tests/long/valgrind.sh
	BUILD=$(BUILD) tests/long/usdt.sh
	BUILD=$(BUILD) tests/long/go.sh
	BUILD=$(BUILD) tests/long/metrics.sh
	$(MAKE) deb
	BUILD=$(BUILD) tests/long/deb.sh
	BUILD=$(BUILD) tests/long/containers.sh
	BUILD=$(BUILD) tests/long/dist.sh
	BUILD=$(BUILD) tests/long/deploy.sh
	BUILD=$(BUILD) tests/long/transparency.sh
	BUILD=$(BUILD) tests/long/scale.py
	tests/long/arm64.sh

# What the shim costs, against doing nothing and against its peers, into docs/performance.md.
# QUICK=1: only what is exact, and it fails when a figure has grown. PART=instructions: one part, or
# several. ROUNDS=20: of what is timed. RENEW=1 writes what QUICK=1 compares with.
BENCH_DEPS     := deps-bench$(if $(QUICK),-quick)
BENCH_OBJ      := $(call objects,tests/bench/programs)
BENCH_PROGRAMS := $(addprefix $(BUILD)/tests/bench/,calls life spawn churn far hold empty.so forward.so)
BENCH_FLAGS     = $(if $(QUICK),--quick) $(if $(RENEW),--renew) \
	$(if $(filter file,$(origin ROUNDS)),,--rounds $(ROUNDS))

bench: all $(BENCH_PROGRAMS) $(BUILD)/tests/standing
	BUILD=$(BUILD) CC='$(CC)' CFLAGS='$(CFLAGS)' tests/bench/run.py $(BENCH_FLAGS) $(PART)

$(filter-out %.so,$(BENCH_PROGRAMS)): $(BUILD)/tests/bench/%: $(BUILD)/tests/bench/programs/%.o \
	$(BUILD)/tests/bench/programs/loopback.o
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lpthread -lbsd

# As the shim is built, and started before all else: what it has is called by others' constructors.
$(BUILD)/tests/bench/forward.so: tests/bench/programs/forward.c shim/calls.h
	@mkdir -p $(@D)
	$(CC) $(BASE) $(CFLAGS) -fPIC -shared -Wl,-z,initfirst -o $@ $<

$(BUILD)/tests/bench/empty.so:
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -shared -o $@ -x c /dev/null

# For how long closewait reap stops a process, by the number of its threads.
bench-stop: all $(BUILD)/tests/standing
	BUILD=$(BUILD) tests/bench/stop.sh

# The table of tests/verdicts, ROUNDS times, JOBS runs at a time: they wait more than they work.
ROUNDS ?= 1
JOBS   ?= 16
verdicts verdicts-long: all $(addprefix $(BUILD)/tests/verdicts/,end end-uring)

verdicts:
	BUILD=$(BUILD) tests/verdicts/run.py --rounds $(ROUNDS) --jobs $(JOBS)

# Half-closed peers that wait for minutes: all of them at the same time.
verdicts-long: SECONDS = 300
verdicts-long:
	BUILD=$(BUILD) tests/verdicts/run.py --wait $(SECONDS) --jobs 64 half-closed

# Both compilers without a warning, the formatter, the linters. The tests of clang are only built.
lint: deps-lint
	$(MAKE) BUILD=$(BUILD)/gcc CC=gcc all $(BUILD)/gcc/tests/closewait-tests
	$(MAKE) BUILD=$(BUILD)/clang CC=clang all $(BUILD)/clang/tests/closewait-tests
	clang-format --dry-run -Werror $(SOURCES) $(wildcard */*.h tests/*/*.h tests/*/*/*.h tests/*/*.cc)
	printf '%s\n' $(SOURCES) | \
		xargs -P 2 -n 4 sh -c 'clang-tidy --quiet "$$@" -- -std=gnu11 -Ishim' clang-tidy
	shellcheck -x demo/*.sh demo/go/*.sh tests/bench/*.sh tests/long/*.sh tests/verdicts/*.sh docs/debian/*.sh .ci/run .ci/deps
	shellcheck -s bash completion/bash tests/completion/ask.bash

SOURCES = $(wildcard shim/*.c cli/*.c demo/*.c tests/*.c tests/programs/*.c tests/fuzz/*.c tests/verdicts/*.c \
	tests/bench/programs/*.c)

install: all
	install -d $(addprefix $(DESTDIR),$(BINDIR) $(LIBDIR) $(MANDIR)/man1 $(MANDIR)/man8 $(BASHDIR) \
		$(ZSHDIR) $(DATADIR))
	install -m 755 $(BUILD)/closewait $(DESTDIR)$(BINDIR)/closewait
	install -m 644 $(BUILD)/libclosewait.so $(DESTDIR)$(LIBDIR)/libclosewait.so
	$(call manual,closewait.1,man1)
	$(call manual,libclosewait.so.8,man8)
	install -m 644 completion/bash $(DESTDIR)$(BASHDIR)/closewait
	install -m 644 completion/_closewait $(DESTDIR)$(ZSHDIR)/_closewait
	install -m 644 docs/schema.json $(DESTDIR)$(DATADIR)/schema.json

# The paths in it are those of this installation.
manual = sed 's|/usr/local/lib/|$(LIBDIR)/|; s|/usr/local/share/closewait/|$(DATADIR)/|' docs/$(1) \
	>$(DESTDIR)$(MANDIR)/$(2)/$(1) && chmod 644 $(DESTDIR)$(MANDIR)/$(2)/$(1)

uninstall:
	rm -f $(addprefix $(DESTDIR),$(BINDIR)/closewait $(LIBDIR)/libclosewait.so \
		$(MANDIR)/man1/closewait.1 $(MANDIR)/man8/libclosewait.so.8 $(BASHDIR)/closewait \
		$(ZSHDIR)/_closewait $(DATADIR)/schema.json)
	rmdir $(DESTDIR)$(DATADIR) 2>/dev/null || true

version:
	@echo $(VERSION)

# The last commit and nothing else: the same bytes each time.
DIST := closewait-$(VERSION)
dist:
	@mkdir -p $(BUILD)
	git archive --format=tar.gz -9 --prefix=$(DIST)/ -o $(BUILD)/$(DIST).tar.gz HEAD

# Debian's recipe where its tools look for it, with its changelog.
debian:
	rm -rf debian
	cp -r docs/debian debian
	docs/debian/changelog.sh $(VERSION) >debian/changelog

# Debian's packages, from the tarball: for this machine, on amd64 for 32-bit programs, too.
DEB_ARCHS ?= $(shell dpkg --print-architecture | sed 's/^amd64$$/amd64 i386/')
deb: deps-deb dist
	rm -rf $(BUILD)/deb
	mkdir -p $(BUILD)/deb
	cp $(BUILD)/$(DIST).tar.gz $(BUILD)/deb/closewait_$(VERSION).orig.tar.gz
	tar -C $(BUILD)/deb -xf $(BUILD)/$(DIST).tar.gz
	$(MAKE) -C $(BUILD)/deb/$(DIST) debian
	cd $(BUILD)/deb/$(DIST) && for arch in $(DEB_ARCHS); do \
		env -u MAKEFLAGS -u MAKELEVEL -u BUILD -u M32 dpkg-buildpackage --no-sign --build=any --host-arch $$arch || exit 1; done
	lintian --fail-on error $(BUILD)/deb/*.changes

clean:
	rm -rf $(BUILD)

# What is missing for a target is installed before anything is compiled for it.
TARGETS := demo demo-go test lint stress fuzz test-long verdicts verdicts-long bench deb

deps: $(addprefix deps-,$(TARGETS))

$(addprefix deps-,$(TARGETS) bench-quick): deps-%:
	@CC='$(CC)' .ci/deps $*

NEEDS := $(patsubst deps-bench,$(BENCH_DEPS),$(addprefix deps-,$(filter $(TARGETS),$(MAKECMDGOALS))))
$(SHIM_OBJ) $(CLI_OBJ) $(DEMO_OBJ) $(TEST_OBJ) $(PROGRAM_OBJ) $(FUZZ_OBJ) $(VERDICT_OBJ) $(BENCH_OBJ): | $(NEEDS)
$(BUILD)/shim/versions.map $(TEST_PROGRAMS) $(TEST_GO) $(GO_PROGRAMS) $(BENCH_PROGRAMS): | $(NEEDS)

-include $(shell find $(BUILD) -path $(BUILD)/deb -prune -o -name '*.d' -type f -print 2>/dev/null)

.PHONY: all $(TARGETS) bench-stop install uninstall clean deps $(addprefix deps-,$(TARGETS) bench-quick)
.DELETE_ON_ERROR:
.SECONDARY:
