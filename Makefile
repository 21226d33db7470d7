# Every command of the project, one line each. `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help build test check fmt run echo doc

help: ## List the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

build: ## Build the shell `we`, optimised, to target/release/we
	cargo build --release

test: ## Run every test, the documentation's examples too
	cargo test --workspace

check: ## Formatting and lints, as CI has them
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

fmt: ## Format the sources
	cargo fmt --all

run: ## Run the chat example against a server of its own
	cargo run --quiet -- demo

echo: ## Start an echo server on ws://127.0.0.1:9001
	cargo run --quiet -- echo --listen 127.0.0.1:9001

doc: ## Build the documentation
	cargo doc --workspace --no-deps
