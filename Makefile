# rdrive - `make help` lists the targets.
#
# BUILD=dir puts everything that is made below another folder; SANITIZE=address,undefined or SANITIZE=thread adds
# sanitizers. One static archive per layer, so that an include across a layer's border does not link.

BUILD    ?= build
PREFIX   ?= /usr/local
CC       ?= cc
SANITIZE ?=
VERSION  := 0.1.0

WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla -Werror
CPPFLAGS += -I. -D_GNU_SOURCE -DRD_VERSION='"$(VERSION)"'
CFLAGS   ?= -O2 -g
ALL_CFLAGS = -std=c11 $(CFLAGS) -fno-omit-frame-pointer -fvisibility=hidden -fPIC -pthread $(WARNINGS) \
             $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=all)
LDFLAGS  += -pthread $(if $(SANITIZE),-fsanitize=$(SANITIZE))

# llhttp: the system's where pkg-config knows it, else the C sources of Debian 12's node-llhttp (scripts/llhttp.sh).
LLHTTP_SYSTEM := $(shell pkg-config --exists libllhttp && echo yes)
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

pkg = $(shell pkg-config --$(1) $(2))
ENGINE_LIBS := $(call pkg,libs,libxxhash libdeflate)
UV_LIBS     := $(call pkg,libs,libuv)
JSON_LIBS   := $(call pkg,libs,jansson)
PROTOCOL_CFLAGS := $(LLHTTP_CFLAGS)

sources  = $(sort $(wildcard $(1)/*.c))
objects  = $(patsubst %.c,$(BUILD)/obj/%.o,$(call sources,$(1)))
LAYERS  := base engine protocol server clients/c
archive  = $(BUILD)/lib/librd-$(subst /,-,$(1)).a

.PHONY: all
all: $(BUILD)/bin/rdrived $(BUILD)/bin/rdrive

define layer_rule
$(call archive,$(1)): $(filter-out $(BUILD)/obj/server/main.o,$(call objects,$(1)))
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(AR) rcs $$@ $$^
endef
$(foreach layer,$(LAYERS),$(eval $(call layer_rule,$(layer))))

$(BUILD)/obj/%.o: %.c $(LLHTTP_READY)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(PROTOCOL_CFLAGS) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/lib/libllhttp.a: $(LLHTTP_READY)
	@mkdir -p $(@D) $(BUILD)/obj/llhttp
	for unit in api http llhttp; do \
	  $(CC) $(LLHTTP_CFLAGS) -O2 -fPIC $(if $(SANITIZE),-fsanitize=$(SANITIZE)) \
	    -c $(LLHTTP_DIR)/usr/share/llhttp/$$unit.c -o $(BUILD)/obj/llhttp/$$unit.o || exit 1; done
	rm -f $@ && $(AR) rcs $@ $(BUILD)/obj/llhttp/*.o

build/deps/llhttp/.ready:
	scripts/llhttp.sh build/deps/llhttp

$(BUILD)/bin/rdrived: $(BUILD)/obj/server/main.o $(call archive,server) $(call archive,protocol) \
                      $(call archive,engine) $(call archive,base) $(filter %.a,$(LLHTTP_LIBS))
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) $^ $(filter-out %.a,$(LLHTTP_LIBS)) $(UV_LIBS) $(JSON_LIBS) $(ENGINE_LIBS) -o $@

# The CLI takes the JSON half of protocol and the engine for offline work.
$(BUILD)/bin/rdrive: $(call objects,clients/cli) $(call archive,clients/c) $(call archive,protocol) \
                     $(call archive,engine) $(call archive,base) $(filter %.a,$(LLHTTP_LIBS))
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) $^ $(filter-out %.a,$(LLHTTP_LIBS)) $(UV_LIBS) $(JSON_LIBS) $(ENGINE_LIBS) -o $@

# ---- unit tests: tests/unit/LAYER/test_NAME.c makes build/tests/LAYER/test_NAME ------------------------------------
UNIT_SOURCES := $(sort $(wildcard tests/unit/*/test_*.c))
UNIT_TESTS   := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(UNIT_SOURCES))
SUPPORT      := $(call objects,tests/support)

$(BUILD)/tests/%: $(BUILD)/obj/tests/unit/%.o $(SUPPORT) $(call archive,clients/c) $(call archive,protocol) \
                  $(call archive,engine) $(call archive,base) $(filter %.a,$(LLHTTP_LIBS))
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) $^ $(filter-out %.a,$(LLHTTP_LIBS)) -lcmocka $(UV_LIBS) $(JSON_LIBS) $(ENGINE_LIBS) -o $@

.PHONY: unit
unit: $(UNIT_TESTS)
	@for test in $^; do echo "== $$test"; $$test || exit 1; done

.PHONY: clean
clean:
	rm -rf $(BUILD)

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
