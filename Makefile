
# Copyright (C) ngx-voice contributors
#
#   make                 the nginx module, voicectl, the discovery agent and
#                        the core library
#   make unit            unit tests; unit-asan: the same with sanitizers
#   make fuzz-corpus     each fuzzer over its kept inputs
#   make fuzz            each fuzzer for FUZZ_SECONDS of new inputs
#   make e2e             a real nginx with real clients; PATTERN=name picks
#   make bench           what a packet costs; PATTERN=name picks
#   make bench-fleet     the choice of nodes, and the discovery agent;
#                        BENCH=part
#   make bench-gateway   the gateway and REST of a real nginx; BENCH=part
#   make install         module, voicectl and agent, below DESTDIR
#
# Sources are found by name: core/*.c, client/*.c, discovery-agent/*.c,
# ngx_voice_*/*.c,
# tests/unit/test_*.c, tests/fuzz/fuzz_*.c, tests/bench/bench_*.c.


ifeq ($(origin CC), default)
CC =            gcc
endif

CLANG =         clang
PKG_CONFIG =    pkg-config
V =             0

BUILD =         build
PREFIX =        /usr/local
MODULES_DIR =   /usr/lib/nginx/modules
NGINX_SRC =     /usr/share/nginx/src
NGINX_BIN =     /usr/sbin/nginx
FUZZ_SECONDS =  30
PATTERN =

WARN =          -Wall -Wextra -Wshadow -Werror
CFLAGS =        -O2 -g
SAN_FLAGS =     -fsanitize=address,undefined -fno-sanitize-recover=all \
                -fno-omit-frame-pointer
FUZZ_FLAGS =    $(SAN_FLAGS)

NGX_CC_OPT =    -O2 -std=gnu11 -fstack-protector-strong
NGX_LD_OPT =    -Wl,-z,relro -Wl,-z,now


# The same libraries as in config; only those of Opus hide their headers.

OPUS =          opus libopusenc opusfile

INCS :=         -Icore -Iclient -Idiscovery-agent \
                $(shell $(PKG_CONFIG) --cflags $(OPUS) 2>/dev/null)
CORE_LIBS =     -lsodium -lcrypto -ljansson -ljwt -lpthread
CLIENT_LIBS :=  -lwslay -lssl -lcurl \
                $(shell $(PKG_CONFIG) --libs $(OPUS) 2>/dev/null) -lm
AGENT_LIBS =    -lcurl -lwslay -lssl
TEST_LIBS =     -lcmocka

STD =           -std=gnu11


CORE_SRCS :=    $(sort $(wildcard core/*.c))
CLIENT_SRCS :=  $(sort $(wildcard client/*.c))
AGENT_SRCS :=   $(sort $(wildcard discovery-agent/*.c))
GLUE_SRCS :=    $(sort $(wildcard ngx_voice_module/*.c ngx_voice_stream/*.c))
UNIT_SRCS :=    $(sort $(wildcard tests/unit/test_*.c))
UNIT_HELP :=    $(filter-out $(UNIT_SRCS), $(sort $(wildcard tests/unit/*.c)))
FUZZ_SRCS :=    $(sort $(wildcard tests/fuzz/fuzz_*.c))
BENCH_SRCS :=   $(sort $(wildcard tests/bench/bench_*.c))
BENCH_HELP :=   $(filter-out $(BENCH_SRCS), $(sort $(wildcard tests/bench/*.c)))


VARIANT :=      $(notdir $(firstword $(CC)))
OUT :=          $(BUILD)/$(VARIANT)
ASAN :=         $(BUILD)/$(VARIANT)-asan
FUZZ :=         $(BUILD)/fuzz


ifeq ($(V), 0)
Q =             @
quiet =         -s
say =           @echo '  $(1)'
endif


.PHONY: all lib module voicectl agent agent-asan objects unit unit-asan \
        unit-build unit-asan-build fuzz fuzz-build fuzz-corpus e2e \
        e2e-build bench bench-gateway bench-fleet nginx-asan install clean \
        FORCE

.DELETE_ON_ERROR:
.SECONDARY:

all: lib module voicectl agent


# One set of rules for each way to compile: $(1) folder, $(2) compiler,
# $(3) its flags.  A change of the flags compiles that folder anew.

define variant

$(1)/.flags: FORCE
	@mkdir -p $$(@D)
	@echo '$(2) $(STD) $(WARN) $(3) $(INCS) $(CPPFLAGS)' | cmp -s - $$@ \
	    || echo '$(2) $(STD) $(WARN) $(3) $(INCS) $(CPPFLAGS)' > $$@

$(1)/obj/%.o: %.c $(1)/.flags
	@mkdir -p $$(@D)
	$$(call say,CC   $$@)
	$$(Q)$(2) $(STD) $(WARN) $(3) $(INCS) $(CPPFLAGS) -MMD -MP -c -o $$@ $$<

# the folder: a file that was removed leaves the library as well
$(1)/libcore.a: $(CORE_SRCS:%.c=$(1)/obj/%.o) core
	@rm -f $$@
	$$(call say,AR   $$@)
	$$(Q)ar rcs $$@ $$(filter %.o,$$^)

# the agent without its main.c: voicectl speaks to etcd by it as well
$(1)/libagent.a: discovery-agent \
        $(patsubst %.c,$(1)/obj/%.o,$(filter-out %/main.c,$(AGENT_SRCS)))
	@rm -f $$@
	$$(call say,AR   $$@)
	$$(Q)ar rcs $$@ $$(filter %.o,$$^)

# the client without its main.c: of it the agent has voice sessions
$(1)/libclient.a: client \
        $(patsubst %.c,$(1)/obj/%.o,$(filter-out %/main.c,$(CLIENT_SRCS)))
	@rm -f $$@
	$$(call say,AR   $$@)
	$$(Q)ar rcs $$@ $$(filter %.o,$$^)

$(1)/test_client_%: $(1)/obj/tests/unit/test_client_%.o \
        $(UNIT_HELP:%.c=$(1)/obj/%.o) \
        $(patsubst %.c,$(1)/obj/%.o,$(filter-out %/main.c,$(CLIENT_SRCS))) \
        $(1)/libagent.a $(1)/libcore.a
	$$(call say,LINK $$@)
	$$(Q)$(2) $(3) $(LDFLAGS) -o $$@ $$^ \
	    $(TEST_LIBS) $(CLIENT_LIBS) $(CORE_LIBS)

$(1)/test_agent_%: $(1)/obj/tests/unit/test_agent_%.o \
        $(UNIT_HELP:%.c=$(1)/obj/%.o) $(1)/libagent.a $(1)/libcore.a
	$$(call say,LINK $$@)
	$$(Q)$(2) $(3) $(LDFLAGS) -o $$@ $$^ \
	    $(TEST_LIBS) $(AGENT_LIBS) $(CORE_LIBS)

$(1)/test_%: $(1)/obj/tests/unit/test_%.o \
        $(UNIT_HELP:%.c=$(1)/obj/%.o) $(1)/libcore.a
	$$(call say,LINK $$@)
	$$(Q)$(2) $(3) $(LDFLAGS) -o $$@ $$^ $(TEST_LIBS) $(CORE_LIBS)

$(1)/bench_%: $(1)/obj/tests/bench/bench_%.o $(BENCH_HELP:%.c=$(1)/obj/%.o) \
        $(patsubst %.c,$(1)/obj/%.o,$(filter-out %/main.c,$(CLIENT_SRCS))) \
        $(1)/libagent.a $(1)/libcore.a
	$$(call say,LINK $$@)
	$$(Q)$(2) $(3) $(LDFLAGS) -o $$@ $$^ $(CLIENT_LIBS) $(CORE_LIBS)

-include $(wildcard $(1)/obj/*/*.d $(1)/obj/tests/*/*.d)

endef

$(eval $(call variant,$(OUT),$(CC),$(CFLAGS) -fPIC))
$(eval $(call variant,$(ASAN),$(CC),$(CFLAGS) $(SAN_FLAGS)))
$(eval $(call variant,$(FUZZ),$(CLANG),\
        $(CFLAGS) -fsanitize=fuzzer-no-link $(FUZZ_FLAGS)))


# the library and the client

lib: $(BUILD)/libcore.a

$(BUILD)/libcore.a: $(OUT)/libcore.a
	@cp $< $@

voicectl: $(BUILD)/voicectl

$(BUILD)/voicectl: $(CLIENT_SRCS:%.c=$(OUT)/obj/%.o) $(OUT)/libagent.a \
        $(OUT)/libcore.a
	$(call say,LINK $@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(CLIENT_LIBS) $(CORE_LIBS)

agent: $(BUILD)/ngx-voice-agent

$(BUILD)/ngx-voice-agent: $(OUT)/obj/discovery-agent/main.o \
        $(OUT)/libagent.a $(OUT)/libclient.a $(OUT)/libcore.a
	$(call say,LINK $@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(AGENT_LIBS) $(CORE_LIBS)

agent-asan: $(ASAN)/ngx-voice-agent

$(ASAN)/ngx-voice-agent: $(ASAN)/obj/discovery-agent/main.o \
        $(ASAN)/libagent.a $(ASAN)/libclient.a $(ASAN)/libcore.a
	$(call say,LINK $@)
	$(Q)$(CC) $(CFLAGS) $(SAN_FLAGS) $(LDFLAGS) -o $@ $^ \
	    $(AGENT_LIBS) $(CORE_LIBS)

# what end-to-end tests need beside it: nginx's side of the cluster zone

e2e-build: all $(BUILD)/cluster-worker

$(BUILD)/cluster-worker: $(OUT)/obj/tests/cluster/cluster_worker.o \
        $(OUT)/libagent.a $(OUT)/libcore.a
	$(call say,LINK $@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(CORE_LIBS)

objects: $(OUT)/libcore.a \
        $(patsubst %.c,$(OUT)/obj/%.o,$(CLIENT_SRCS) $(AGENT_SRCS) \
        $(UNIT_SRCS) $(UNIT_HELP))


# The module is built by nginx's own configure, which needs a place to write
# beside its sources; that takes a minute and is done again only when config,
# the list of files, the flags or nginx itself changed.

NGX_TREE :=     $(BUILD)/nginx
NGX_INPUTS :=   $(CC) $(NGX_CC_OPT) $(NGX_LD_OPT) $(NGINX_SRC) \
                $(CORE_SRCS) $(GLUE_SRCS) \
                $(sort $(wildcard core/*.h ngx_voice_*/*.h))

module: $(BUILD)/ngx_voice_module.so

$(NGX_TREE)/.inputs: FORCE
	@mkdir -p $(@D)
	@echo '$(NGX_INPUTS)' | cmp -s - $@ || echo '$(NGX_INPUTS)' > $@

$(NGX_TREE)/objs/Makefile: config tests/configure-nginx \
        $(NGX_TREE)/.inputs $(wildcard $(NGINX_SRC)/conf_flags)
	$(call say,CONF $@)
	$(Q)CC='$(CC)' tests/configure-nginx '$(NGINX_SRC)' '$(NGX_TREE)' \
	    '$(NGX_CC_OPT)' '$(NGX_LD_OPT)'

$(BUILD)/ngx_voice_module.so: $(NGX_TREE)/objs/Makefile FORCE
	$(Q)$(MAKE) $(quiet) --no-print-directory -C $(NGX_TREE) \
	    -f objs/Makefile modules
	@cmp -s $(NGX_TREE)/objs/$(@F) $@ || echo '  MOD  $@'
	@cmp -s $(NGX_TREE)/objs/$(@F) $@ \
	    || { cp $(NGX_TREE)/objs/$(@F) $@.new && mv $@.new $@; }


# tests

UNIT :=         $(UNIT_SRCS:tests/unit/%.c=$(OUT)/%)
UNIT_ASAN :=    $(UNIT_SRCS:tests/unit/%.c=$(ASAN)/%)
FUZZERS :=      $(FUZZ_SRCS:tests/fuzz/%.c=$(FUZZ)/%)
BENCHES :=      $(BENCH_SRCS:tests/bench/%.c=$(OUT)/%)

unit-build: $(UNIT)

unit: $(UNIT)
	@tests/run-unit $^

unit-asan-build: $(UNIT_ASAN)

unit-asan: $(UNIT_ASAN)
	@tests/run-unit $^

$(FUZZ)/fuzz_agent: $(FUZZ)/obj/tests/fuzz/fuzz_agent.o \
        $(FUZZ)/libagent.a $(FUZZ)/libcore.a
	$(call say,LINK $@)
	$(Q)$(CLANG) $(CFLAGS) -fsanitize=fuzzer $(FUZZ_FLAGS) $(LDFLAGS) \
	    -o $@ $^ $(AGENT_LIBS) $(CORE_LIBS)

$(FUZZ)/fuzz_%: $(FUZZ)/obj/tests/fuzz/fuzz_%.o $(FUZZ)/libcore.a
	$(call say,LINK $@)
	$(Q)$(CLANG) $(CFLAGS) -fsanitize=fuzzer $(FUZZ_FLAGS) $(LDFLAGS) \
	    -o $@ $^ $(CORE_LIBS)

fuzz-build: $(FUZZERS)

fuzz-corpus: $(FUZZERS)
	@tests/run-fuzz replay $^

fuzz: $(FUZZERS)
	@tests/run-fuzz $(FUZZ_SECONDS) $^

e2e: e2e-build
	@BUILD='$(BUILD)' tests/run-e2e '$(PATTERN)'

bench: all $(BENCHES)
	@BUILD='$(BUILD)' BENCH_OBJECTS='$(CURDIR)/$(OUT)' \
	    tests/run-bench $(PATTERN)


bench-fleet: e2e-build $(OUT)/bench_assign
	@BUILD='$(BUILD)' PATH="$$PATH:/usr/sbin:/sbin" node tests/bench/fleet.mjs

bench-gateway: all
	@BUILD='$(BUILD)' PATH="$$PATH:/usr/sbin:/sbin" node tests/bench/gateway.mjs


# nginx itself with the address sanitizer and the module inside

nginx-asan: $(BUILD)/nginx-asan/nginx

$(BUILD)/nginx-asan/nginx: config tests/build-nginx-asan \
        $(CORE_SRCS) $(GLUE_SRCS) $(wildcard core/*.h ngx_voice_*/*.h)
	$(Q)CC='$(CC)' tests/build-nginx-asan '$(BUILD)/nginx-asan' '$(NGINX_BIN)'


# A module that nginx has mapped must be replaced by name, not overwritten.

install: module voicectl agent
	install -D -m 644 $(BUILD)/ngx_voice_module.so \
	    '$(DESTDIR)$(MODULES_DIR)/ngx_voice_module.so.new'
	mv '$(DESTDIR)$(MODULES_DIR)/ngx_voice_module.so.new' \
	    '$(DESTDIR)$(MODULES_DIR)/ngx_voice_module.so'
	install -D -m 755 $(BUILD)/voicectl '$(DESTDIR)$(PREFIX)/bin/voicectl'
	install -D -m 755 $(BUILD)/ngx-voice-agent \
	    '$(DESTDIR)$(PREFIX)/bin/ngx-voice-agent'
	install -D -m 644 discovery-agent/ngx-voice-agent.service \
	    '$(DESTDIR)/lib/systemd/system/ngx-voice-agent.service'
	install -D -m 644 discovery-agent/ngx-voice.tmpfiles \
	    '$(DESTDIR)/usr/lib/tmpfiles.d/ngx-voice.conf'

clean:
	rm -rf '$(BUILD)'
