# rdrive - `make help` lists the targets.
#
# BUILD=dir puts everything that is made below another folder; SANITIZE=address,undefined or SANITIZE=thread adds
# sanitizers. One static archive per layer, so that an include across a layer's border does not link.
#
# Targets that install packages first (run, test, asan, tsan, lint, coverage) build in a second make, because what
# pkg-config answers is read when a Makefile is parsed.

BUILD    ?= build
PREFIX   ?= /usr/local
DESTDIR  ?=
CC       ?= cc
PYTHON   ?= /usr/bin/python3
OBJCOPY  ?= objcopy
SANITIZE ?=
VERSION  := 0.1.0

WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla -Werror
CFLAGS   ?= -O2 -g
ALL_CPPFLAGS = -I. -D_GNU_SOURCE -DRD_VERSION='"$(VERSION)"' $(ISAL_CPPFLAGS) $(CPPFLAGS)
ALL_CFLAGS = -std=c11 $(CFLAGS) -fno-omit-frame-pointer -fvisibility=hidden -fPIC -pthread $(WARNINGS) \
             $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=all)
ALL_LDFLAGS = $(LDFLAGS) -pthread $(if $(SANITIZE),-fsanitize=$(SANITIZE))

# llhttp: the system's where pkg-config knows it, else the C sources of Debian 12's node-llhttp (scripts/llhttp.sh).
LLHTTP_SYSTEM := $(shell pkg-config --exists libllhttp 2>/dev/null && echo yes)
ifeq ($(LLHTTP_SYSTEM),yes)
LLHTTP_CFLAGS := $(shell pkg-config --cflags libllhttp)
LLHTTP_LIBS   := $(shell pkg-config --libs libllhttp)
LLHTTP_READY  :=
else
LLHTTP_DIR    := build/deps/llhttp
LLHTTP_CFLAGS := -isystem $(LLHTTP_DIR)/usr/share/include/llhttp
LLHTTP_LIBS   := $(BUILD)/lib/libllhttp.a
LLHTTP_READY  := $(LLHTTP_DIR)/.ready
endif

# ISA-L has a faster CRC-32 for all but short values; without it libdeflate does them all.
ISAL := $(shell pkg-config --exists libisal 2>/dev/null && echo libisal)
ISAL_CPPFLAGS := $(if $(ISAL),-DRD_HAVE_ISAL)

# Not asked before something is linked: `make run` parses this on a machine that has no pkg-config yet.
pkg = $(shell pkg-config --$(1) $(2))
ENGINE_LIBS = $(call pkg,libs,libxxhash libdeflate $(ISAL))
UV_LIBS     = $(call pkg,libs,libuv)
TLS_LIBS    = $(call pkg,libs,openssl)
JSON_LIBS   = $(call pkg,libs,jansson)
PROTOCOL_CFLAGS := $(LLHTTP_CFLAGS)

sources  = $(sort $(wildcard $(1)/*.c))
objects  = $(patsubst %.c,$(BUILD)/obj/%.o,$(call sources,$(1)))
LAYERS  := base engine protocol server clients/c clients/bench
archive  = $(BUILD)/lib/librd-$(subst /,-,$(1)).a

# The client's shared library: its first number changes with whatever breaks programs that are linked already.
CLIENT_SONAME := librdrive-client.so.0
CLIENT_SO     := $(BUILD)/lib/librdrive-client.so.$(VERSION)

.PHONY: all
all: $(BUILD)/bin/rdrived $(BUILD)/bin/rdrive $(BUILD)/bin/rdrive-bench $(BUILD)/lib/librdrive-client.a $(CLIENT_SO) ## build the programs and the client library

.SECONDARY: # objects of tests stay, so that a second run links nothing anew

define layer_rule
$(call archive,$(1)): $(filter-out %/main.o,$(call objects,$(1)))
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(AR) rcs $$@ $$^
endef
$(foreach layer,$(LAYERS),$(eval $(call layer_rule,$(layer))))

$(BUILD)/obj/%.o: %.c $(LLHTTP_READY)
	@mkdir -p $(@D)
	$(CC) $(ALL_CPPFLAGS) $(PROTOCOL_CFLAGS) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

# The status page is part of the program. od is everywhere; its bytes become an initialiser.
STATUS_PAGE := $(BUILD)/obj/server/status_page.o
$(BUILD)/gen/status_page.c: server/status.html
	@mkdir -p $(@D)
	{ echo '#include "server/status_page.h"'; echo 'const uint8_t rd_status_page[] = {'; \
	  od -An -v -tu1 $< | sed 's/ *\([0-9][0-9]*\)/\1,/g'; echo '};'; \
	  echo 'const size_t rd_status_page_len = sizeof rd_status_page;'; } > $@

$(STATUS_PAGE): $(BUILD)/gen/status_page.c server/status_page.h
	@mkdir -p $(@D)
	$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -c $< -o $@

$(call archive,server): $(STATUS_PAGE)

$(BUILD)/lib/libllhttp.a: $(LLHTTP_READY)
	@mkdir -p $(@D) $(BUILD)/obj/llhttp
	for unit in api http llhttp; do \
	  $(CC) $(LLHTTP_CFLAGS) -O2 -fPIC $(if $(SANITIZE),-fsanitize=$(SANITIZE)) \
	    -c $(LLHTTP_DIR)/usr/share/llhttp/$$unit.c -o $(BUILD)/obj/llhttp/$$unit.o || exit 1; done
	rm -f $@ && $(AR) rcs $@ $(BUILD)/obj/llhttp/*.o

build/deps/llhttp/.ready:
	scripts/llhttp.sh build/deps/llhttp

# With ThreadSanitizer one object of the tests goes in, so that it loses no signal of theirs.
$(BUILD)/bin/rdrived: $(BUILD)/obj/server/main.o \
                      $(if $(findstring thread,$(SANITIZE)),$(BUILD)/obj/tests/support/early_signals.o) \
                      $(call archive,server) $(call archive,protocol) $(call archive,engine) $(call archive,base) \
                      $(filter %.a,$(LLHTTP_LIBS))
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) $^ $(filter-out %.a,$(LLHTTP_LIBS)) $(UV_LIBS) $(TLS_LIBS) $(JSON_LIBS) $(ENGINE_LIBS) -o $@

# The CLI takes the JSON half of protocol and the engine for offline work.
$(BUILD)/bin/rdrive: $(call objects,clients/cli) $(call archive,clients/c) $(call archive,protocol) \
                     $(call archive,engine) $(call archive,base) $(filter %.a,$(LLHTTP_LIBS))
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) $^ $(filter-out %.a,$(LLHTTP_LIBS)) $(UV_LIBS) $(TLS_LIBS) $(JSON_LIBS) $(ENGINE_LIBS) -lm -o $@

# The load generator: of protocol the binary half, so neither llhttp nor jansson; of the C client TLS.
$(BUILD)/bin/rdrive-bench: $(BUILD)/obj/clients/bench/main.o $(call archive,clients/bench) $(call archive,protocol) \
                           $(call archive,clients/c) $(call archive,base)
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) $^ $(TLS_LIBS) -o $@

# What a client program links: its own layer, base, and the binary half of protocol.
CLIENT_OBJECTS = $(call objects,clients/c) $(call objects,base) \
                 $(filter-out $(addprefix $(BUILD)/obj/protocol/,http% json% redis% resp%),$(call objects,protocol))

# One object, in which only what the headers declare has a name for others.
$(BUILD)/lib/librdrive-client.a: $(CLIENT_OBJECTS)
	@mkdir -p $(@D)
	@rm -f $@
	$(LD) -r $^ -o $(BUILD)/obj/rdrive-client.o
	$(OBJCOPY) --localize-hidden $(BUILD)/obj/rdrive-client.o
	$(AR) rcs $@ $(BUILD)/obj/rdrive-client.o

$(CLIENT_SO): $(CLIENT_OBJECTS) clients/c/rdrive-client.map
	@mkdir -p $(@D)
	$(CC) -shared $(ALL_LDFLAGS) -Wl,-soname,$(CLIENT_SONAME) -Wl,--version-script=clients/c/rdrive-client.map \
	  $(if $(SANITIZE),,-Wl,-z,defs) $(CLIENT_OBJECTS) $(UV_LIBS) $(TLS_LIBS) -o $@

# ---- tests: tests/unit/LAYER/test_NAME.c makes $(BUILD)/tests/LAYER/test_NAME --------------------------------------
UNIT_SOURCES := $(sort $(wildcard tests/unit/*/test_*.c))
UNIT_TESTS   := $(UNIT_SOURCES:tests/unit/%.c=$(BUILD)/tests/%)
SUPPORT      := $(call objects,tests/support)

$(BUILD)/tests/%: $(BUILD)/obj/tests/unit/%.o $(SUPPORT) $(call archive,clients/bench) $(call archive,clients/c) \
                  $(call archive,protocol) $(call archive,engine) $(call archive,base) $(filter %.a,$(LLHTTP_LIBS))
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) $^ $(filter-out %.a,$(LLHTTP_LIBS)) -lcmocka $(UV_LIBS) $(TLS_LIBS) $(JSON_LIBS) \
	  $(ENGINE_LIBS) -o $@

# Where allocations are to fail, that test's own functions are asked first.
$(BUILD)/tests/protocol/test_no_memory: ALL_LDFLAGS += -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc

$(BUILD)/tests/server/%: $(BUILD)/obj/tests/unit/server/%.o $(SUPPORT) $(call archive,server) \
                  $(call archive,protocol) $(call archive,engine) $(call archive,base) $(filter %.a,$(LLHTTP_LIBS))
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) $^ $(filter-out %.a,$(LLHTTP_LIBS)) -lcmocka $(UV_LIBS) $(TLS_LIBS) $(JSON_LIBS) \
	  $(ENGINE_LIBS) -o $@

# What holds values in memory counts there, and fails where it is to.
$(BUILD)/tests/server/test_outbox: ALL_LDFLAGS += -Wl,--wrap=rd_value_hold,--wrap=rd_value_let_go,--wrap=rd_value_is_in_memory

# A processor that is given away and comes back when the test says so.
$(BUILD)/tests/server/test_courtesy: ALL_LDFLAGS += -Wl,--wrap=sched_yield,--wrap=uv_hrtime,--wrap=nanosleep

# The kernel's side is the test's own.
$(BUILD)/tests/server/test_affinity: ALL_LDFLAGS += -Wl,--wrap=sched_setaffinity,--wrap=sched_getaffinity

# Whether there is a store, and what it does, is the test's.
$(BUILD)/tests/server/test_dispatch: ALL_LDFLAGS += -Wl,--wrap=rd_stores_find,--wrap=rd_hosted_unref,--wrap=rd_conn_loop

# An upload's surroundings: none of them does anything, and threads come and go as the test says.
UPLOAD_WRAPPED := uv_queue_work rd_dispatch_use_store rd_dispatch_enter_lane rd_handler_submit rd_hosted_unuse rd_store_bars \
  $(addprefix rd_conn_,loop is_closing memory_is_full uploads_are_full uploads_have_credit upload_begun upload_over \
    upload_credit keep let_go run_barrier take_finished) \
  $(addprefix rd_spool_,create append stays_in_memory len destroy)
$(BUILD)/tests/server/test_upload: ALL_LDFLAGS += $(UPLOAD_WRAPPED:%=-Wl,--wrap=%)

# What of the command line tool can be tried without a server.
CLI_PURE := $(patsubst %,$(BUILD)/obj/clients/cli/%.o,samples readings top_show)
$(BUILD)/tests/cli/%: $(BUILD)/obj/tests/unit/cli/%.o $(CLI_PURE) $(call archive,protocol) $(call archive,base) \
                  $(filter %.a,$(LLHTTP_LIBS))
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) $^ $(filter-out %.a,$(LLHTTP_LIBS)) -lcmocka $(JSON_LIBS) -lm -o $@

# The tool's offline half, whose settings are looked at when another process has done its work.
$(BUILD)/tests/cli/test_offline: $(BUILD)/obj/tests/unit/cli/test_offline.o                                  $(filter-out %/main.o,$(call objects,clients/cli)) $(call archive,clients/c)                                  $(call archive,protocol) $(call archive,engine) $(call archive,base)                                  $(filter %.a,$(LLHTTP_LIBS))
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -Wl,--wrap=rd_companion_load,--wrap=rd_companion_save $^ $(filter-out %.a,$(LLHTTP_LIBS)) \
	  -lcmocka $(UV_LIBS) $(TLS_LIBS) $(JSON_LIBS) $(ENGINE_LIBS) -lm -o $@

# ---- rigs: tests/crash/NAME.c makes $(BUILD)/tests/crash/NAME, with what the others in that folder share -----------
CRASH_RIGS    := crash_states every_call bit_flips
CRASH_PROGRAMS = $(CRASH_RIGS:%=$(BUILD)/tests/crash/%)
CRASH_SHARED   = $(filter-out $(CRASH_RIGS:%=$(BUILD)/obj/tests/crash/%.o),$(call objects,tests/crash))

# The clock that interval syncs are due by is the rigs' own, and so is the allocator, which may fail.
CRASH_WRAPPED := rd_monotonic_ms malloc calloc realloc aligned_alloc strdup free pthread_create
$(BUILD)/tests/crash/%: $(BUILD)/obj/tests/crash/%.o $(CRASH_SHARED) $(call archive,engine) $(call archive,base)
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) $(CRASH_WRAPPED:%=-Wl,--wrap=%) $^ $(ENGINE_LIBS) -o $@

# ---- fuzz targets: tests/fuzz/fuzz_NAME.c makes $(BUILD)/bin/fuzz-NAME, which replays files, or with FUZZER=libfuzzer
# (and clang, and SANITIZE with fuzzer-no-link in it) searches for inputs that break an invariant. ------------------
FUZZER       :=
FUZZ_TARGETS := $(patsubst tests/fuzz/fuzz_%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
FUZZ_PROGRAMS = $(FUZZ_TARGETS:%=$(BUILD)/bin/fuzz-%)
FUZZ_SHARED  := $(filter-out $(BUILD)/obj/tests/fuzz/fuzz_% $(if $(FUZZER),%/replay.o),$(call objects,tests/fuzz))

# What is to be covered is the product.
$(BUILD)/obj/tests/fuzz/%.o: ALL_CFLAGS += $(if $(FUZZER),-fno-sanitize=fuzzer-no-link)

$(BUILD)/bin/fuzz-%: $(BUILD)/obj/tests/fuzz/fuzz_%.o $(FUZZ_SHARED) $(call archive,server) $(call archive,protocol) \
                  $(call archive,engine) $(call archive,base) $(filter %.a,$(LLHTTP_LIBS))
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) $(if $(FUZZER),-fsanitize=fuzzer) $^ $(filter-out %.a,$(LLHTTP_LIBS)) $(UV_LIBS) $(TLS_LIBS) \
	  $(JSON_LIBS) $(ENGINE_LIBS) -o $@

# The programs of tests/rigs: loads under which a daemon is cut off, and their judges.
RIG_PROGRAMS := $(addprefix $(BUILD)/tests/rigs/,storm contest lying_disk.so)
RIG_LOAD      = $(patsubst %,$(BUILD)/obj/tests/rigs/load/%.o,$(1) door http_door http_text) \
                $(patsubst %,$(BUILD)/obj/tests/support/%.o,stamp ledger linear) $(call archive,clients/c) \
                $(call archive,protocol) $(call archive,base)

$(BUILD)/tests/rigs/storm: $(call RIG_LOAD,storm inspect founder client errand)
$(BUILD)/tests/rigs/contest: $(call RIG_LOAD,contest history)
$(BUILD)/tests/rigs/storm $(BUILD)/tests/rigs/contest:
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) $^ $(UV_LIBS) $(TLS_LIBS) $(ENGINE_LIBS) -o $@

$(BUILD)/tests/rigs/lying_disk.so: $(BUILD)/obj/tests/rigs/load/lying_disk.o
	@mkdir -p $(@D)
	$(CC) -shared $^ -o $@

# A second make, parallel unless the first one was told how parallel to be.
JOBS    ?= $(shell nproc 2>/dev/null || echo 1)
SUBMAKE  = $(MAKE) --no-print-directory $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(JOBS))

TSAN_SUPPRESSIONS := $(CURDIR)/tests/support/tsan.supp
# Every sanitizer report ends the process that made it, so that no test can pass over one.
SANITIZER_ENV = ASAN_OPTIONS=abort_on_error=0:exitcode=86:detect_leaks=1:detect_stack_use_after_return=1 \
                UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1:exitcode=86 \
                TSAN_OPTIONS=halt_on_error=1:exitcode=86:second_deadlock_stack=1:suppressions=$(TSAN_SUPPRESSIONS)
PYTEST = RDRIVE_BUILD=$(abspath $(BUILD)) $(SANITIZER_ENV) $(PYTHON) -m pytest -q -p no:cacheprovider

# What says which file it was is only wanted where one fails.
RUN_UNIT = for test in $(UNIT_TESTS); do echo "== $$test"; $(SANITIZER_ENV) $$test || exit 1; done; \
           for name in $(FUZZ_TARGETS); do \
             $(SANITIZER_ENV) $(BUILD)/bin/fuzz-$$name tests/fuzz/corpus/$$name || \
             { $(SANITIZER_ENV) $(BUILD)/bin/fuzz-$$name -v tests/fuzz/corpus/$$name; exit 1; }; done

# A tool of bench/ that they try, too.
TRIED_TOOLS := $(BUILD)/bin/bench-answer_only

# Much of what these tests do is waiting for a disk. Each file's tests stay together: they share a daemon.
IN_PARALLEL = -n 2 --dist loadfile

.PHONY: unit
unit: $(UNIT_TESTS) $(FUZZ_PROGRAMS) ## build and run the unit tests alone, the fuzz corpora among them
	@$(RUN_UNIT)

.PHONY: integration
integration: all $(TRIED_TOOLS) ## build, and test the programs from outside alone
	@$(PYTEST) $(IN_PARALLEL) tests/integration tests/python

# One recipe, not two prerequisites: under -j the suites would run at once and share the processors.
.PHONY: suite
suite: all $(TRIED_TOOLS) $(UNIT_TESTS) $(FUZZ_PROGRAMS)
	@$(RUN_UNIT)
	@$(PYTEST) $(IN_PARALLEL) tests/integration tests/python

.PHONY: test
test: ## install what is missing, build, run every test
	@scripts/deps.sh run test
	@$(SUBMAKE) suite

.PHONY: asan
asan: ## the same with AddressSanitizer and UndefinedBehaviorSanitizer
	@scripts/deps.sh run test
	@$(SUBMAKE) BUILD=$(BUILD)/asan SANITIZE=address,undefined suite

.PHONY: tsan
tsan: ## the same with ThreadSanitizer
	@scripts/deps.sh run test
	@$(SUBMAKE) BUILD=$(BUILD)/tsan SANITIZE=thread suite

# A build of its own, thrown away, so that every warning is seen and the normal objects stay.
.PHONY: lint
lint: ## warnings under clang, who includes whom, layout
	@scripts/deps.sh run test lint
	@$(SUBMAKE) BUILD=$(BUILD)/clang CC=clang all unit-built bench-tools
	@$(PYTEST) tests/lint

.PHONY: unit-built
unit-built: $(UNIT_TESTS) $(FUZZ_PROGRAMS)

.PHONY: check
check: ## all of it: test, asan, tsan, lint, and the rigs as far as they fit: crash-short, rigs-short
	@.ci/run

.PHONY: container
container: all ## build the image with podman, run it, stop it under load, and compose.yaml with its Prometheus (as root)
	@scripts/deps.sh run test
	@$(PYTEST) -s tests/rigs/test_container.py tests/rigs/test_compose.py

.PHONY: service
service: all ## install the Debian package in a booted systemd and try it there (as root)
	@scripts/deps.sh run test deb
	@$(PYTEST) -s tests/rigs/test_systemd.py

.PHONY: status-page
status-page: all ## look at the status page with headless Chromium (as root: installs it); screenshots in BUILD
	@scripts/deps.sh run test
	@$(PYTEST) tests/rigs/test_status_page.py

# Seeds are printed; RD_TEST_SEED=N repeats a run. Each rig first shows that it can find something.
RIG = $(SANITIZER_ENV) $(BUILD)/tests/crash

.PHONY: crash-short
crash-short: $(CRASH_PROGRAMS) ## crash states, failing calls, flipped bits: as much as CI takes
	@$(RIG)/crash_states --self-test
	@$(RIG)/crash_states --states $(or $(STATES),2000)
	@$(RIG)/every_call --self-test
	@$(RIG)/every_call --stride $(or $(STRIDE),3)
	@$(RIG)/bit_flips --self-test
	@$(RIG)/bit_flips --flips $(or $(FLIPS),1000)

.PHONY: crash
crash: ## the same at length: 50,000 crash states, every call, 20,000 flipped bits
	@scripts/deps.sh run test
	@$(SUBMAKE) STATES=50000 STRIDE=1 FLIPS=20000 crash-short

# The rigs that fit into a check, as root: loop devices. Figures are printed; RD_TEST_SEED repeats a run.
SHORT_RIGS := $(addprefix tests/rigs/test_,kills.py transfer_kills.py compaction.py linearizable.py power_cuts.py \
                cold_values.py)
.PHONY: rigs-short rigs-built
rigs-built: all $(RIG_PROGRAMS)
rigs-short: ## 360 kills and 100 power cuts under load over the network, 200,000 operations judged for their order
	@scripts/deps.sh run test rigs
	@$(SUBMAKE) rigs-built
	@$(PYTEST) -s $(SHORT_RIGS)

# As root, with some 30 GiB of disk below RDRIVE_RIG_DIR (default: the temporary folder) and over an hour.
.PHONY: rigs
rigs: export RDRIVE_RIG_KILLS ?= 3000
rigs: export RDRIVE_RIG_COMPACTION_KILLS ?= 600
rigs: export RDRIVE_RIG_CUTS ?= 500
rigs: export RDRIVE_RIG_OPERATIONS ?= 2000000
rigs: export RDRIVE_RIG_LINEAR_KILLS ?= 100
rigs: ## the same ten times as long, and values of 4 GiB in 256 MiB of memory, stalled uploads, container and service
	@scripts/deps.sh run test rigs deb
	@$(SUBMAKE) rigs-built
	@$(PYTEST) -s tests/rigs

# A second each in CI's test part would find nothing: the corpora are replayed there. FUZZ_SECONDS and FUZZ_TARGETS
# (a list) may be given; what is found lies in $(BUILD)/fuzz/found.
FUZZ_SECONDS ?=
FUZZ_BUILD = BUILD=$(BUILD)/fuzz CC=clang FUZZER=libfuzzer SANITIZE=address,undefined,fuzzer-no-link

.PHONY: fuzz fuzz-short fuzz-built
fuzz-built: $(FUZZ_PROGRAMS)
fuzz: ## let libFuzzer search, five minutes for each target (FUZZ_SECONDS=300, FUZZ_TARGETS='http store')
	@scripts/deps.sh run test fuzz
	@$(SUBMAKE) $(FUZZ_BUILD) fuzz-built
	@scripts/fuzz.sh $(BUILD)/fuzz $(or $(FUZZ_SECONDS),300) $(FUZZ_TARGETS)

fuzz-short: ## the same, ten seconds for each target
	@$(MAKE) --no-print-directory fuzz FUZZ_SECONDS=$(or $(FUZZ_SECONDS),10)

.PHONY: coverage
coverage: ## how much of the code the tests reach, by file and layer; fails under 90 % of engine or protocol
	@scripts/deps.sh run test
	@find $(BUILD)/coverage -name '*.gcda' -delete 2>/dev/null || true
	@$(SUBMAKE) BUILD=$(BUILD)/coverage CFLAGS='-O1 -g --coverage' LDFLAGS=--coverage suite
	@$(PYTHON) scripts/coverage.py $(BUILD)/coverage

# ---- figures -------------------------------------------------------------------------------------------------------
BENCH_TOOLS := $(patsubst bench/%.c,$(BUILD)/bin/bench-%,$(wildcard bench/*.c))

$(BUILD)/bin/bench-%: $(BUILD)/obj/bench/%.o $(call archive,clients/bench) $(call archive,clients/c) \
                       $(call archive,protocol) $(call archive,engine) $(call archive,base)
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) $^ $(ENGINE_LIBS) $(TLS_LIBS) $(UV_LIBS) -o $@

$(BUILD)/bin/bench-answer_only: $(call objects,bench/answer_only) $(call archive,protocol) $(call archive,base)
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) $^ -o $@

# Keeps its figures in the load generator's histogram, and times what a writer does to grow (growth.c).
GROWING := rd_store_map rd_plan_reserve rd_epoch_collect
$(BUILD)/bin/bench-engine: $(call objects,bench/engine) $(call archive,clients/bench) $(call archive,engine) \
                           $(call archive,base)
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) $(GROWING:%=-Wl,--wrap=%) $^ $(ENGINE_LIBS) -o $@

.PHONY: bench-tools
bench-tools: $(BENCH_TOOLS) $(BUILD)/bin/bench-answer_only $(BUILD)/bin/bench-engine

.PHONY: bench
bench: $(BUILD)/bin/bench-engine ## figures of the storage engine, in a temporary folder below BUILD
	@folder=$$(mktemp -d $(abspath $(BUILD))/bench.XXXXXX) && $< $$folder; status=$$?; rm -rf $$folder; exit $$status

.PHONY: scale
scale: bench-tools ## the engine at 1 M to 50 M keys: 8 GiB of disk and memory, some minutes
	@RDRIVE_BUILD=$(abspath $(BUILD)) bench/scale

.PHONY: compare
compare: all bench-tools ## rdrive beside redis, memcached and nginx; installs them; half an hour
	@RDRIVE_BUILD=$(abspath $(BUILD)) bench/compare --no-build

# ---- running and installing ----------------------------------------------------------------------------------------
.PHONY: deps
deps: ## install what building and testing needs (Debian and Ubuntu, through apt)
	@scripts/deps.sh run test

.PHONY: run
run: ## install what is missing, build, serve ./data on the default ports
	@scripts/deps.sh run
	@$(SUBMAKE) all
	@echo "curl -X PUT --data-binary 'hello' http://127.0.0.1:7480/v1/stores/default/keys/greeting"
	@echo "$(BUILD)/bin/rdrive read greeting"
	@exec $(BUILD)/bin/rdrived --data-dir ./data

PUBLIC_HEADERS := $(wildcard clients/c/rdrive*.h)

LIBDIR     ?= lib
SYSCONFDIR ?= $(if $(filter /usr /usr/local,$(PREFIX)),/etc,$(PREFIX)/etc)
CONFIG     := $(SYSCONFDIR)/rdrive/rdrived.conf

INSTALLED := bin/rdrived bin/rdrive bin/rdrive-bench $(patsubst clients/c/%,include/%,$(PUBLIC_HEADERS)) \
             $(addprefix $(LIBDIR)/,librdrive-client.a $(notdir $(CLIENT_SO)) $(CLIENT_SONAME) librdrive-client.so \
             pkgconfig/rdrive-client.pc) \
             $(addprefix share/man/,man1/rdrive.1 man1/rdrive-bench.1 man3/rdrive-client.3 man8/rdrived.8) \
             $(addprefix lib/,systemd/system/rdrived.service systemd/system/rdrived.socket sysusers.d/rdrive.conf)

.PHONY: install
install: all ## copy programs, libraries, headers, manual pages and units below DESTDIR and PREFIX
	install -d $(sort $(dir $(addprefix $(DESTDIR)$(PREFIX)/,$(INSTALLED))))
	install -m 755 $(addprefix $(BUILD)/bin/,rdrived rdrive rdrive-bench) $(DESTDIR)$(PREFIX)/bin/
	install -m 644 $(BUILD)/lib/librdrive-client.a $(CLIENT_SO) $(DESTDIR)$(PREFIX)/$(LIBDIR)/
	ln -sf $(notdir $(CLIENT_SO)) $(DESTDIR)$(PREFIX)/$(LIBDIR)/$(CLIENT_SONAME)
	ln -sf $(CLIENT_SONAME) $(DESTDIR)$(PREFIX)/$(LIBDIR)/librdrive-client.so
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@VERSION@|$(VERSION)|' \
	  packaging/rdrive-client.pc.in > $(DESTDIR)$(PREFIX)/$(LIBDIR)/pkgconfig/rdrive-client.pc
	install -m 644 $(PUBLIC_HEADERS) $(DESTDIR)$(PREFIX)/include/
	install -m 644 packaging/man/rdrive.1 packaging/man/rdrive-bench.1 $(DESTDIR)$(PREFIX)/share/man/man1/
	install -m 644 packaging/man/rdrive-client.3 $(DESTDIR)$(PREFIX)/share/man/man3/
	install -m 644 packaging/man/rdrived.8 $(DESTDIR)$(PREFIX)/share/man/man8/
	sed -e 's|/usr/bin/rdrived|$(PREFIX)/bin/rdrived|' -e 's|/etc/rdrive/rdrived.conf|$(CONFIG)|' \
	  packaging/systemd/rdrived.service > $(DESTDIR)$(PREFIX)/lib/systemd/system/rdrived.service
	install -m 644 packaging/systemd/rdrived.socket $(DESTDIR)$(PREFIX)/lib/systemd/system/
	install -m 644 packaging/rdrive.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/rdrive.conf
	@# One that is there already is the administrator's.
	test -e $(DESTDIR)$(CONFIG) || install -D -m 644 packaging/rdrived.conf $(DESTDIR)$(CONFIG)

.PHONY: uninstall
uninstall: ## remove what install copied, but for the configuration
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/,$(INSTALLED))

.PHONY: deb
deb: ## a Debian package in BUILD: daemon, tools, library, systemd units
	@scripts/deps.sh run deb
	@$(SUBMAKE) all
	@scripts/deb.sh $(BUILD) $(VERSION)

C_FILES = $(shell git ls-files --cached --others --exclude-standard '*.c' '*.h')

.PHONY: format
format: ## lay the sources out with clang-format
	@scripts/deps.sh lint
	clang-format -i $(C_FILES)

# The sources of llhttp stay: fetching them again would need the network.
.PHONY: clean
clean: ## remove what was built
	rm -rf $(filter-out $(BUILD)/deps,$(wildcard $(BUILD)/*))

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@echo "  variables: BUILD=$(BUILD) PREFIX=$(PREFIX) DESTDIR= CC=$(CC) SANITIZE= JOBS=$(JOBS)"

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
