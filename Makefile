# closewait. Everything that is made goes under build/. `make`, `make test` and `make demo` are
# all that most people need; `make deps` says what they install.

CC      ?= cc
CFLAGS  ?= -O2 -g
LDFLAGS ?=
PREFIX  ?= /usr/local
LIBDIR  ?= $(PREFIX)/lib
BINDIR  ?= $(PREFIX)/bin
DESTDIR ?=

WARNINGS := -Wall -Wextra -Wconversion -Wshadow -Wmissing-prototypes -Werror
BASE     := -std=gnu11 $(WARNINGS) -MMD -MP -Ishim

# The shim lives in other people's processes, with whatever libc is there. Nothing that would need
# a name of glibc's alone, and no TLS (its thread has none): no fortified calls, no stack
# protector. -z now: its thread must never enter the lazy binder. Unwind tables: a thread that is
# cancelled in recv unwinds through our hook.
SHIM_CFLAGS := -fPIC -fvisibility=hidden -U_FORTIFY_SOURCE -fno-stack-protector \
	-fasynchronous-unwind-tables
SHIM_LDFLAGS := -shared -nostdlib -Wl,-soname,libclosewait.so -Wl,-z,now -Wl,-z,relro \
	-Wl,-z,noexecstack -Wl,--exclude-libs,ALL -Wl,--as-needed
LIBBSD_A = $(shell $(CC) -print-file-name=libbsd.a)

SHIM_OBJ   := $(patsubst %.c,build/%.o,$(wildcard shim/*.c))
CLI_OBJ    := $(patsubst %.c,build/%.o,$(wildcard cli/*.c))
DEMO       := $(patsubst demo/%.c,build/demo/%,$(wildcard demo/*.c))
TEST_OBJ   := $(patsubst %.c,build/%.o,$(wildcard tests/*.c))
TEST_PROGS := $(patsubst tests/programs/%.c,build/tests/%,$(wildcard tests/programs/*.c))
# What the tests look at from within: all of the shim but the hooks and the boot, which would
# make the tests themselves a program under the shim.
UNIT_OBJ   := $(filter-out build/shim/hooks.o build/shim/init.o,$(SHIM_OBJ))

all: build/libclosewait.so build/closewait $(DEMO)

build/libclosewait.so: $(SHIM_OBJ) build/shim/exports.map
	$(CC) $(CFLAGS) $(SHIM_LDFLAGS) -Wl,--version-script=build/shim/exports.map $(LDFLAGS) \
		-o $@ $(SHIM_OBJ) $(LIBBSD_A)

# The names that the shim exports are those of its list of calls, and no other.
build/shim/exports.map: shim/calls.h
	@mkdir -p $(@D)
	{ echo '{ global:'; \
	  printf '#define CALL(returns, name, ...) name;\n#include "calls.h"\n' | \
		$(CC) -E -P -Ishim -x c - ; \
	  echo 'local: *; };'; } >$@.tmp
	mv $@.tmp $@

# The command reads options and judges with the shim's own code.
CLI_SHARED := $(addprefix build/shim/,options.o text.o endpoint.o judge.o)

build/closewait: $(CLI_OBJ) $(CLI_SHARED)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lelf -lbsd

build/demo/%: build/demo/%.o
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $< -lbsd

build/tests/closewait-tests: $(TEST_OBJ) $(UNIT_OBJ)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lcriterion -lbsd

build/tests/%: build/tests/programs/%.o
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $< -lbsd

# The same program for musl, and linked statically: one that the shim loads into, one that it cannot.
build/tests/leaker-musl: tests/programs/leaker.c
	@mkdir -p $(@D)
	musl-gcc -std=gnu11 $(WARNINGS) -O2 -o $@ $<

build/tests/leaker-static: build/tests/programs/leaker.o
	$(CC) $(CFLAGS) $(LDFLAGS) -static -o $@ $<

build/shim/%.o: shim/%.c
	@mkdir -p $(@D)
	$(CC) $(BASE) $(CFLAGS) $(SHIM_CFLAGS) -c -o $@ $<

build/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(BASE) $(CFLAGS) -c -o $@ $<

-include $(shell find build -name '*.d' 2>/dev/null)

.PHONY: all
.DELETE_ON_ERROR:
.SECONDARY:
