# Every target first brings the machine up to date (scripts/setup.sh: under a second when nothing is missing).
# Respects CARGO_TARGET_DIR. CARGO_FLAGS goes to cargo's own commands, for instance --locked.

SHELL := /bin/bash
TARGET_DIR := $(abspath $(or $(CARGO_TARGET_DIR),target))
BIN := $(TARGET_DIR)/release/countersign
SUITE := scripts/suite.sh
BOARDS := microbit stm32u5
LETTERS := appliance/letters
TOKEN_SIM := $(TARGET_DIR)/release/token-sim
FUZZING := tests/fuzz
LETTERS_BIN := $(TARGET_DIR)/letters/release/countersign-letters
CARGO_FLAGS ?=
DEMO_ARGS ?=

PREFIX ?= /usr
SYSCONFDIR ?= /etc
DESTDIR ?=

# For the test rig, the benchmark and the soak: the binaries they drive.
export COUNTERSIGN_BIN := $(BIN)
export COUNTERSIGN_LETTERS := $(LETTERS_BIN)

.DEFAULT_GOAL := help
.PHONY: help images setup build compile demo test lint unit vectors images packaging fuzz bench soak firmware letters letters-binary install

help: ## This list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

setup: ## Install what is missing on this machine (Debian packages, Rust parts)
	@scripts/setup.sh

build: setup ## The release binary, and the emulated token
	cargo build --release $(CARGO_FLAGS) --bin countersign --bin token-sim

demo: build letters-binary ## The appliance with an emulated HSM and modem; DEMO_ARGS="--exit --state DIR"
	$(BIN) demo $(DEMO_ARGS)

test: lint compile build letters unit vectors packaging fuzz ## Everything that CI runs

lint: setup ## Formatting, clippy, and cargo-deny where it is installed
	@$(SUITE) fmt cargo fmt --all --check
	@$(SUITE) clippy cargo clippy --release $(CARGO_FLAGS) --workspace --all-targets -- -D warnings
	@$(SUITE) firmware-crates cargo build --release $(CARGO_FLAGS) --target thumbv6m-none-eabi -p token -p link -p oath
	@for board in $(BOARDS); do ( \
	    cd firmware/boards/$$board && $(CURDIR)/$(SUITE) $$board-fmt cargo fmt --check && \
	    $(CURDIR)/$(SUITE) $$board-clippy \
	        cargo clippy --release $(CARGO_FLAGS) --target-dir $(TARGET_DIR)/firmware/$$board -- -D warnings \
	) || exit; done
	@cd $(LETTERS) && $(CURDIR)/$(SUITE) letters-fmt cargo fmt --check
	@cd $(LETTERS) && $(CURDIR)/$(SUITE) letters-clippy \
	    cargo clippy --release $(CARGO_FLAGS) --target-dir $(TARGET_DIR)/letters --all-targets -- -D warnings
	@cd $(FUZZING) && $(CURDIR)/$(SUITE) fuzz-fmt cargo fmt --check
	@$(SUITE) fuzz-clippy scripts/fuzz.sh lint $(TARGET_DIR)
	@if command -v cargo-deny >/dev/null; then $(SUITE) deny cargo deny check; \
	 else echo "deny: cargo-deny is not installed, licences and advisories were not checked"; fi

# Product and tests in one go: while the longest crate keeps one core busy, the tests are built on the other. Then
# `build` finds its work done.
compile: setup
	@$(SUITE) compile cargo nextest run --release $(CARGO_FLAGS) --workspace --no-run

unit: build images letters-binary
	@scripts/axe.sh $(TARGET_DIR)
	@scripts/webpush.sh $(TARGET_DIR)
	@$(SUITE) nextest cargo nextest run --release $(CARGO_FLAGS) --workspace

vectors: setup ## RFC 4226, RFC 6238 and RFC 6287 on the emulated Cortex-M0
	@$(SUITE) vectors scripts/firmware.sh vectors $(TARGET_DIR)

images: setup
	@$(SUITE) images scripts/firmware.sh images $(TARGET_DIR)

packaging: build
	@$(SUITE) packaging scripts/packaging.sh

fuzz: setup ## Every edge fuzzed for a few seconds; writes fuzz/report.json into the target directory
	@$(SUITE) fuzz scripts/fuzz.sh smoke $(TARGET_DIR)

bench: build images ## Throughput and latency; writes bench/report.html and .json into the target directory
	cargo build --release $(CARGO_FLAGS) -p hsm --example rates
	cargo run --release $(CARGO_FLAGS) -p tests --bin bench

soak: build ## Long runs: RACE=1 KILL=N MODEM=1 CABLE=1 FUZZ=MINUTES HOURS=H, any of them
	cargo build --release $(CARGO_FLAGS) --bin token-sim
	cargo run --release $(CARGO_FLAGS) -p tests --bin soak -- \
	    $(if $(RACE),--race $(RACE)) $(if $(KILL),--kill $(KILL)) \
	    $(if $(MODEM),--modem $(MODEM)) $(if $(CABLE),--cable $(CABLE)) \
	    $(if $(FUZZ),--fuzz $(FUZZ)) $(if $(HOURS),--hours $(HOURS))

firmware: setup ## Both boards' images, built twice, and run in QEMU; writes firmware/report.json
	@$(SUITE) firmware scripts/firmware.sh report $(TARGET_DIR)

# Its own workspace: the typesetter takes minutes to build, once.
letters-binary: setup
	@cd $(LETTERS) && $(CURDIR)/$(SUITE) letters-build \
	    cargo build --release $(CARGO_FLAGS) --target-dir $(TARGET_DIR)/letters

letters: letters-binary ## The typesetter of labels and letters, built and tested
	@cd $(LETTERS) && $(CURDIR)/$(SUITE) letters \
	    cargo nextest run --release $(CARGO_FLAGS) --target-dir $(TARGET_DIR)/letters

install: build letters-binary ## Binaries, units, rules, default configuration; PREFIX=/usr SYSCONFDIR=/etc DESTDIR=
	install -D -m 0755 $(BIN) $(DESTDIR)$(PREFIX)/bin/countersign
	install -D -s -m 0755 $(LETTERS_BIN) $(DESTDIR)$(PREFIX)/lib/countersign/countersign-letters
	install -D -m 0755 $(TOKEN_SIM) $(DESTDIR)$(PREFIX)/lib/countersign/token-sim
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed 's|/usr/bin/|$(PREFIX)/bin/|' packaging/countersign.service \
	    >$(DESTDIR)$(PREFIX)/lib/systemd/system/countersign.service
	install -D -m 0644 packaging/sysusers.d/countersign.conf $(DESTDIR)$(PREFIX)/lib/sysusers.d/countersign.conf
	install -D -m 0644 packaging/tmpfiles.d/countersign.conf $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/countersign.conf
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/doc/countersign LICENSE-APACHE LICENSE-MIT \
	    $(LETTERS)/LICENSE-DejaVu
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/doc/countersign/examples packaging/softhsm.conf
	for rules in $(wildcard udev/*.rules); do \
	    install -D -m 0644 -t $(DESTDIR)$(PREFIX)/lib/udev/rules.d $$rules || exit; done
	test -e $(DESTDIR)$(SYSCONFDIR)/countersign/countersign.toml || \
	    install -D -m 0644 packaging/countersign.toml $(DESTDIR)$(SYSCONFDIR)/countersign/countersign.toml
