# `make help` lists the targets. CI runs `.ci/run`: it installs the tools, then `make test` and `make fmt lint`.

CARGO ?= cargo
RELEASE := target/release/fieldgate
DEBUG := target/debug/fieldgate
HOST = $(shell rustc -vV | sed -n 's/^host: //p')
FUZZ_SECONDS ?= 60
FUZZ_TARGETS ?= $(notdir $(basename $(wildcard tests/fuzz/src/bin/*.rs)))
SCENARIOS := $(sort $(dir $(wildcard policies/*/)))

.DEFAULT_GOAL := help
.PHONY: help demo build test unit docs policies live verify fmt lint bench fuzz peers soak

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Build and run the demo: a sample CRM behind the gateway (DEMO_ARGS="--records 50000")
	$(CARGO) run --release --locked -- demo $(DEMO_ARGS)

build: ## Build the release binary
	$(CARGO) build --release --locked

test: unit docs policies live ## Run everything: unit, integration, documentation, policies, live systems

unit: ## Unit and integration tests, and the documentation's examples
	$(CARGO) test --locked --lib --bins --tests
	$(CARGO) test --locked --doc

docs: ## Build the documentation; a broken link fails
	RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" $(CARGO) doc --locked --no-deps --document-private-items

policies: ## Check and test every scenario under policies/ with the debug binary
	$(CARGO) build --locked
	@set -e; for dir in $(SCENARIOS); do \
	  echo "== $$dir"; $(DEBUG) check --config $${dir}fieldgate.yaml; $(DEBUG) test --config $${dir}fieldgate.yaml; \
	done

live: ## Real systems behind the gateway (Directus with its SDK); installs them under target/live/
	$(CARGO) build --locked
	tests/live/run

verify: fmt lint test ## What CI runs: format, lints and everything of `make test`

fmt: ## Check the format
	$(CARGO) fmt --check

lint: ## Clippy with the lints of Cargo.toml; a warning fails
	$(CARGO) clippy --locked --all-targets -- -D warnings

bench: ## Rewrite, decide and pipeline benches, each against a rival in the same run
	$(CARGO) bench --locked --bench '*'

peers: build ## Other people's clients and testers (h2load, wrk, slowhttptest, testssl.sh, sslyze …) against the release binary
	tests/peers/run

soak: build ## Twenty minutes of load, faults, reloads and vanishing clients; then nothing may be left over (SOAK_SECONDS=1200)
	tests/soak/run

fuzz: ## Fuzz every target for FUZZ_SECONDS each (60), or those in FUZZ_TARGETS="json csv"; a find fails
	cd tests/fuzz && $(CARGO) build --release --locked --target $(HOST) --bins
	@set -e; cd tests/fuzz; for target in $(FUZZ_TARGETS); do \
	  echo "== $$target"; mkdir -p work/$$target found; \
	  target/$(HOST)/release/$$target -max_total_time=$(FUZZ_SECONDS) -timeout=60 -artifact_prefix=found/$$target- \
	    work/$$target corpus/$$target; \
	done
