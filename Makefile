# Copyright The picolet Authors.
# SPDX-License-Identifier: Apache-2.0

# Needs Go and make; everything else is fetched by Go. "make help" lists what there is.

KUBERNETES  ?= 1.37
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0
FUZZTIME    ?= 20s
# Which end-to-end tests to run, a regular expression.
E2E         ?= .
# Those that a line of Kubernetes may change, less what they take too much.
E2E_LINE      := ^Test(Node|VirtualBoard|SecondBoard|DeletedNode|ChangeReaches|DaemonSet|ConfigMap|Kubelet|Rights|AllRights|Gateway|Strangers|Tools|PicoWJoins)
E2E_LINE_SKIP := ^TestNodes?Stay|^TestPicoWJoins(ByLink|TheClusterByPins)|^TestTools/certificates_are_not|^TestTools/certificates_are_checked/emulated

# The clock of the firmware's processor in MHz; empty: TinyGo's own, 200 MHz.
CLOCK   ?=
IMAGE   := picolet-pico-w$(if $(CLOCK),-$(CLOCK)mhz)

GO      ?= go
JOBS    := -p 2
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null)
# The race detector needs a C compiler.
RACE    := $(if $(filter 1,$(shell $(GO) env CGO_ENABLED)),-race)
# The control plane is built without one, and its tests share that build.
CONTROLPLANE := cd controlplane && CGO_ENABLED=0 GOWORK=off GOFLAGS='-trimpath -buildvcs=false'
UNIT     = $$($(GO) list ./... | grep -v -e '/e2e$$' -e '/e2e/')

export KUBERNETES
.DEFAULT_GOAL := help
.PHONY: help build run controlplane test test-unit test-controlplane test-firmware test-emulator firmware test-image test-board soak footprint tinygo test-tools test-e2e test-line lint generated vulncheck fuzz bench bench-e2e clean

help: ## list the targets
	@echo 'make TARGET, where TARGET is one of:'
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  \1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r t d; do printf '%-20s %s\n' "$$t" "$$d"; done
	@echo
	@echo 'KUBERNETES=1.36 selects the other line; ARGS="--nodes 10" goes to "picolet up" in make run.'

build: ## build bin/picolet, and bin/kubectl-pico: with bin in PATH it is "kubectl pico"
	@test -e bin/picolet || echo 'Building bin/picolet; the first time takes some minutes'
	$(GO) build $(JOBS) -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/ ./cmd/picolet ./cmd/kubectl-pico

controlplane: build ## build the Kubernetes control plane into the user's cache, once (about 10 min)
	@bin/picolet controlplane build --kubernetes $(KUBERNETES) --source controlplane

run: build ## start a cluster with virtual boards; Ctrl-C ends it
	@exec bin/picolet up --kubernetes $(KUBERNETES) $(ARGS)

test: test-unit test-controlplane test-emulator test-firmware test-e2e ## run all tests, the emulated Pico W's among them

test-unit: controlplane ## unit tests of all packages, with the race detector where there is a C compiler
	@test -n '$(RACE)' || echo 'no C compiler: tests run without the race detector'
	$(GO) test $(JOBS) $(RACE) $(UNIT)

test-controlplane: ## unit tests of the control plane's own code
	$(CONTROLPLANE) $(GO) test $(JOBS) ./internal/...

# Go does not see that these tests depend on the rest of the tree: it must not cache them.
test-firmware: test-image ## tests of the firmware's tools; with TinyGo built (make tinygo), of the core under TinyGo too
	cd firmware && PICO_W_IMAGE="$$(ls '$(CURDIR)/bin/picolet-pico-w.elf' 2>/dev/null)" $(GO) test $(JOBS) -count=1 ./...

# Without npm it skips on a person's machine and fails in CI.
test-emulator: ## tests of the emulated Pico W; needs Node.js 20 and npm
	@if command -v npm >/dev/null; then \
		cd emulator && npm ci --silent && node --test --test-reporter=dot; \
	elif [ "$$CI" = true ]; then \
		echo 'test-emulator needs Node.js 20 and npm: apt-get install nodejs npm'; exit 1; \
	else \
		echo 'test-emulator skipped: it needs Node.js 20 and npm (apt-get install nodejs npm)'; \
	fi

firmware: ## build bin/picolet-pico-w.uf2 and .elf, the firmware of a Pico W (builds TinyGo first if it must); CLOCK=125 for 125 MHz
	mkdir -p bin
	cd firmware && $(GO) run ./toolchain $(if $(CLOCK),-clock=$(CLOCK)) build -interp-timeout=10m -target=pico-w/pico-w.json -o=../bin/$(IMAGE).elf ./pico-w
	cd firmware && $(GO) run ./toolchain uf2 ../bin/$(IMAGE).elf ../bin/$(IMAGE).uf2
	cd firmware && $(GO) run ./footprint pico-w=../bin/$(IMAGE).elf

# An image that is not of this tree must not be tested.
test-image:
	@rm -f bin/picolet-pico-w.uf2 bin/picolet-pico-w.elf
	@if (cd firmware && $(GO) run ./toolchain >/dev/null); then \
		$(MAKE) --no-print-directory firmware; \
	elif [ "$$CI" = true ]; then \
		exit 1; \
	else \
		echo 'tests of the firmware image skipped: TinyGo cannot be built here, see above'; \
	fi

test-board: controlplane firmware test-tools ## all tests of the emulated Pico W, those that make test leaves out for their time too (about 6 min)
	$(GO) test -count=1 -parallel 8 -timeout 1h -run 'PicoW' ./e2e -long

soak: controlplane firmware test-tools ## an hour of emulated time on an emulated Pico W: lease, heap, stack (about 1 min)
	$(GO) test -count=1 -timeout 1h -v -run 'TestPicoWHoldsItsLease' ./e2e -soak 1h -measurement '$(CURDIR)/bin/soak.json'

footprint: soak ## measure the firmware and write docs/footprint.md
	cd firmware && $(GO) run ./toolchain build -target=pico -serial=uart -o='$(CURDIR)/bin/core.elf' ./core
	cd firmware && $(GO) run ./footprint -doc ../docs/footprint.md pico-w=../bin/picolet-pico-w.elf:../bin/soak.json core=../bin/core.elf
	$(GO) test -count=1 -timeout 20m -v -run 'TestPicoWFigures' ./e2e -long -figures ../docs/footprint.md

tinygo: ## build the TinyGo compiler into the user's cache, once (about 2 min; as root it installs LLVM)
	cd firmware && $(GO) run ./toolchain

# What the end-to-end tests fetch, they fetch before: they run in a network of their own.
test-tools:
	$(GO) run $(JOBS) ./e2e/prepare

test-e2e: controlplane test-image test-tools ## tests against the real control plane, of virtual boards and of the image on an emulated Pico W
	$(GO) test $(JOBS) -count=1 -parallel 8 -timeout 30m -run '$(E2E)' ./e2e/...

test-line: controlplane test-tools ## those of test-e2e that another line of Kubernetes may change, with the image that is there: KUBERNETES=1.36
	$(GO) test $(JOBS) -count=1 -parallel 8 -timeout 30m -run '$(E2E_LINE)' -skip '$(E2E_LINE_SKIP)' ./e2e

lint: generated vulncheck ## gofmt, go vet, staticcheck, generated files; govulncheck where its database can be reached
	@bad=$$(gofmt -l .); test -z "$$bad" || { echo "gofmt would change:"; echo "$$bad"; exit 1; }
	$(GO) vet $(JOBS) ./...
	$(GO) run $(STATICCHECK) ./...
	cd firmware && $(GO) vet $(JOBS) ./... && $(GO) run $(STATICCHECK) ./...
	$(CONTROLPLANE) $(GO) vet $(JOBS) ./...
	$(CONTROLPLANE) $(GO) run $(STATICCHECK) ./...

# What is generated must be what "go generate" makes.
generated:
	@before=$$(git status --porcelain && git diff); \
	$(GO) generate ./... && after=$$(git status --porcelain && git diff) || exit 1; \
	test "$$before" = "$$after" || { echo '"go generate ./..." has changed files: commit them'; git status --short; exit 1; }

# go run hides the exit code, by which vulnerabilities differ from having no database.
vulncheck:
	@GOBIN='$(CURDIR)/bin' $(GO) install $(GOVULNCHECK)
	@for dir in . controlplane firmware; do \
		said=$$(cd $$dir && CGO_ENABLED=0 GOWORK=off '$(CURDIR)/bin/govulncheck' ./... 2>&1); \
		case $$? in \
		0) echo "govulncheck: nothing found in $$dir" ;; \
		3) echo "$$said"; exit 1 ;; \
		*) case "$$said" in \
			*vuln.go.dev*) echo "govulncheck: skipped for $$dir, its database vuln.go.dev cannot be reached" ;; \
			*) echo "$$said"; exit 1 ;; \
			esac ;; \
		esac; \
	done

fuzz: ## run each fuzz target for 20 s (FUZZTIME=1m for longer)
	@for pkg in $(UNIT); do \
		targets=$$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); \
		for target in $$targets; do \
			echo "$$pkg $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$pkg || exit 1; \
		done; \
	done

bench: controlplane ## run all benchmarks
	$(GO) test $(JOBS) -run '^$$' -bench . -benchmem ./...

bench-e2e: controlplane ## time registration, status and lease against the real API server
	$(GO) test $(JOBS) -run '^$$' -bench . -benchtime 200x ./e2e

clean: ## remove bin/; the control plane stays in the user's cache
	rm -rf bin
