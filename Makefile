# The commands of Passerelle. `make` alone lists them.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

# Passed to `go test`, for instance TESTFLAGS='-race -run Rotate'.
TESTFLAGS ?=
# What to test.
PKG ?= ./...
# Passed to `passerelle` by run and demo.
ARGS ?=

TOOLS := .tools/bin
package.gofumpt       := mvdan.cc/gofumpt
package.golangci-lint := github.com/golangci/golangci-lint/v2/cmd/golangci-lint
package.gotestsum     := gotest.tools/gotestsum
package.sqlc          := github.com/sqlc-dev/sqlc/cmd/sqlc

.PHONY: help
help: ## List these commands
	@awk -F ':.*## ' '/^[a-z%-]+:.*## / { sub("%", "<name>", $$1); printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: packages $(TOOLS)/gotestsum ## Install PostgreSQL and Chromium where they are missing, build the test runner

.PHONY: build
build: ## Build bin/passerelle
	@go build -trimpath -o bin/passerelle ./cmd/passerelle

.PHONY: demo
demo: setup build ## Run the hub with simulated partners and invented files, nothing to configure
	@bin/passerelle demo $(ARGS)

.PHONY: run
run: build ## Run the hub with passerelle.yml
	@bin/passerelle serve $(ARGS)

.PHONY: test
test: setup ## Run the tests (PKG=./jobs/... TESTFLAGS=-race); with CI=true a skip needs a line in .ci/skips.txt
	@mkdir -p .cache
	@status=0; \
	$(TOOLS)/gotestsum --format pkgname --format-hide-empty-pkg --jsonfile .cache/test.json -- -timeout 20m $(TESTFLAGS) $(PKG) || status=$$?; \
	if [ "$${CI:-}" = true ]; then .ci/skips .cache/test.json .ci/skips.txt || status=1; fi; \
	exit $$status

.PHONY: peers
peers: ## Build the real servers that connectors are tested against (Ory Hydra: minutes the first time)
	@.ci/peers build

.PHONY: test-peers
test-peers: ## Run the connectors' contract against those servers
	@.ci/peers test

.PHONY: lint
lint: $(TOOLS)/golangci-lint formatted ## Check the code's habits and who imports whom
	@$(TOOLS)/golangci-lint run ./...

.PHONY: fmt
fmt: $(TOOLS)/gofumpt ## Format the Go files
	@$(TOOLS)/gofumpt -l -w .

.PHONY: generate
generate: $(TOOLS)/sqlc ## Generate Go from internal/store/queries
	@cd internal/store && ../../$(TOOLS)/sqlc generate

.PHONY: verify
verify: $(TOOLS)/sqlc $(TOOLS)/gofumpt ## Check modules, vet, generated code and forbidden words
	@.ci/verify

.PHONY: bench
bench: ## Run every bench at a tenth of its size
	@.ci/bench all 0.1

bench-%: ## Run one bench at its full size, ten minutes at most
	@.ci/bench $* 1

.PHONY: dsfr
dsfr: ## Bring the State's design system, where you are entitled to it (npm asks you)
	@.ci/dsfr

.PHONY: ci
ci: ## Do what CI does: test, lint, verify, test-peers
	@.ci/run

.PHONY: clean
clean: ## Remove what was built, but not the tools
	@rm -rf bin .cache

.PHONY: packages
packages:
	@.ci/packages

.PHONY: formatted
formatted: $(TOOLS)/gofumpt
	@files=$$($(TOOLS)/gofumpt -l .); \
	if [ -n "$$files" ]; then printf 'Not formatted, make fmt does it:\n%s\n' "$$files" >&2; exit 1; fi

# The tools are pinned in a module of their own, which keeps the main go.mod small.
$(TOOLS)/%: .tools/go.mod .tools/go.sum
	@echo "building $* (golangci-lint and sqlc take minutes the first time)"
	@cd .tools && go build -o bin/$* $(package.$*) && touch bin/$*
