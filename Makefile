# Every command of the project, one line each. `make` alone lists them.
.DEFAULT_GOAL := help
FUZZ ?= frame connection response request extensions url differential
FUZZ_TIME ?= 600
BENCH_TIME ?= 60
.PHONY: help build guests test test-runners wpt wpt-report autobahn autobahn-full fuzz bench bench-javascript bench-serve bench-peers bench-all bench-instructions check fmt run echo doc

help: ## List the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 17

build: ## Build the shell `we`, optimised, to target/release/we
	cargo build --release

guests: ## Build the WebAssembly modules in fixtures/wasm anew: make guests [RUSTC=/usr/bin/rustc] (fixtures/wasm/build tells what it needs)
	@RUSTC="$(or $(RUSTC),rustc)" fixtures/wasm/build

test: ## Run every test, the documentation's examples too
	cargo test --workspace

wpt: ## Run web-platform-tests: make wpt WPT_DIR=path/to/wpt [WPT='--filter Close-'] (WPT=--help tells more)
	@python3 tests/wpt $(WPT_DIR) $(WPT)

wpt-report: ## Run them, and write the tables of docs/conformance.md anew
	@python3 tests/wpt $(WPT_DIR) --report $(WPT)

autobahn: ## Run the Autobahn TestSuite: server, Rust client, JavaScript client (AUTOBAHN=--help tells more)
	@python3 tests/autobahn $(AUTOBAHN)

autobahn-full: ## Run all 517 cases of it, compression too (minutes)
	@python3 tests/autobahn --full $(AUTOBAHN)

test-runners: ## Test the programs that `make wpt` and `make autobahn` run
	python3 -m unittest discover --quiet --start-directory tests/wpt --pattern '*_test.py'
	python3 -m unittest discover --quiet --start-directory tests/autobahn --pattern '*_test.py'

fuzz: ## Fuzz each target for FUZZ_TIME seconds (600): make fuzz [FUZZ="url frame"]. fuzz/README.md tells what it needs
	@for target in $(FUZZ); do mkdir -p fuzz/corpus/$$target && cargo +nightly fuzz run $$target fuzz/corpus/$$target fuzz/seeds/$$target -- -max_total_time=$(FUZZ_TIME) || exit 1; done

bench: ## Measure the protocol beside other libraries for BENCH_TIME seconds (60): make bench [BENCH="decode client"]
	@cd benches && BENCH_TIME=$(BENCH_TIME) cargo run --quiet --release -- $(if $(BENCH),"$(BENCH)")

bench-javascript: ## Measure scripts in the shell WE beside the runtimes on the PATH for BENCH_TIME seconds (60): make bench-javascript [BENCH=echo]
	@$(if $(WE),,cargo build --release)
	@cd benches && BENCH_TIME=$(BENCH_TIME) WE=$(abspath $(WE)) cargo run --quiet --release --bin javascript -- $(if $(BENCH),"$(BENCH)")

bench-serve: ## Measure `we serve` of the shell WE beside the runtimes on the PATH for BENCH_TIME seconds (60): make bench-serve [BENCH=idle]
	@$(if $(WE),,cargo build --release)
	@cd benches && BENCH_TIME=$(BENCH_TIME) WE=$(abspath $(WE)) cargo run --quiet --release --bin serve -- $(if $(BENCH),"$(BENCH)")

bench-peers: ## Run a lab that measures clients and servers of other makers: make bench-peers LAB=folder/of/run.py (docs/performance.md)
	@test -f "$(LAB)/run.py" || { echo "LAB names no folder with a run.py; docs/performance.md tells what that is" >&2; exit 1; }
	@cargo build --release
	python3 $(LAB)/run.py clients --runtime we='$(CURDIR)/target/release/we run {script} -- {args}' $(LAB_ARGS)
	python3 $(LAB)/run.py servers --server we='$(CURDIR)/target/release/we echo --no-compression --listen 127.0.0.1:{port}' $(LAB_ARGS)

bench-all: bench bench-peers ## All tables of docs/performance.md in one run: make bench-all LAB=folder/of/run.py LAB_ARGS='--rounds 5'

bench-instructions: ## Count the instructions of the hot paths (needs valgrind); fails if one has grown by 5 %. SAVE=1 makes them the baseline
	@cd benches && cargo run --quiet --release --bin instructions -- $(if $(SAVE),--save)

check: ## Formatting and lints, as CI has them
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

fmt: ## Format the sources
	cargo fmt --all

run: ## Run a chat: a server in Rust and three guests in JavaScript, in one process
	cargo run --quiet --example chat

echo: ## Start an echo server on ws://127.0.0.1:9001
	cargo run --quiet -- echo --listen 127.0.0.1:9001

doc: ## Build the documentation
	cargo doc --workspace --no-deps
