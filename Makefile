# orch: build, test and measure. "make demo" and "make test" set everything up themselves.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

GO      ?= go
CACHE   ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/orch
VERSION ?= $(shell cat VERSION)
LDFLAGS := -s -w -X main.version=$(VERSION)
HELPERS := modules/target/embedded
SOURCES := $(shell find cmd inventory modules playbook roles transport -name '*.go' -not -name '*_test.go' 2>/dev/null) go.mod go.sum

# One configuration for programs and tests: the heavy libraries are compiled once.
export CGO_ENABLED = 0
export GOFLAGS = -trimpath -buildvcs=false
export ORCH_LAB = $(CACHE)/lab/state
export ORCH_CLUSTER = $(CACHE)/lab/cluster

.PHONY: build demo test test-unit test-lab lint bench docs lab lab-down helpers fuzz

# The static binary with both helpers in it.
build: bin/orch

bin/orch: $(SOURCES) helpers
	@mkdir -p bin
	$(GO) build -ldflags '$(LDFLAGS)' -o $@ ./cmd/orch

# The helpers change only with their code: no version, no path, no time in them.
helpers: $(HELPERS)/orch-helper-linux-amd64.gz $(HELPERS)/orch-helper-linux-arm64.gz

$(HELPERS)/orch-helper-linux-%.gz: $(SOURCES)
	@mkdir -p bin
	GOOS=linux GOARCH=$* $(GO) build -ldflags '-s -w' -o bin/orch-helper-$* ./cmd/orch-helper
	$(GO) run ./cmd/orch-helper/pack bin/orch-helper-$* $@

# Builds orch and runs its main job on this machine, as whoever calls it.
demo: build
	cd examples/shop && ../../bin/orch run playbooks/deploy.yml -i dev
	cd examples/shop && ../../bin/orch run playbooks/deploy.yml -i dev
	@echo "the shop answers: $$(curl -fsS http://127.0.0.1:8480/)"
	@echo "stop it with examples/shop/.sandbox/srv/bin/shopctl stop"

test: lint build lab
	$(GO) test -timeout 25m ./...

# What needs neither root nor the lab.
test-unit:
	ORCH_LAB= ORCH_CLUSTER= $(GO) test ./...

lint:
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	@out=$$($(GO) tool gofumpt -l cmd inventory modules playbook roles transport examples); \
		if [ -n "$$out" ]; then echo "not formatted with gofumpt:" $$out; exit 1; fi
	$(GO) test .

# Hosts, two clusters and a registry. The first time takes some minutes: two Debians are
# bootstrapped and a control plane is compiled.
lab:
	@testdata/lab/lab.sh up >/dev/null & hosts=$$!; \
		testdata/lab/kubernetes/cluster.sh up >/dev/null && testdata/lab/kubernetes/cluster.sh second >/dev/null && wait $$hosts || { wait $$hosts || true; exit 1; }

lab-down:
	testdata/lab/kubernetes/cluster.sh down
	testdata/lab/lab.sh down

# All figures, or some: make bench PART=scale. Only the site needs the lab.
bench: build $(if $(filter-out start scale jinja weight,$(or $(PART),site)),lab)
	testdata/bench/bench.sh $(PART)

# Reference pages of modules, filters, tests, lookups and settings.
docs: build
	bin/orch doc --markdown docs/reference

fuzz:
	@for pkg in $$($(GO) list ./...); do \
		for f in $$($(GO) test -list '^Fuzz' $$pkg 2>/dev/null | grep '^Fuzz' || true); do \
			echo "$$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzzminimizetime 10x -fuzztime $${FUZZTIME:-20s} $$pkg; done; done
