# The tests, the demonstration and the figures of Tidemark: "make" alone lists the targets.
GO ?= go
FUZZTIME ?= 30s
SIZE ?= 1GiB
export FUZZTIME

help:
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
demo: ## checkpoint a job on real flights, kill it, restore it, prove the output exact (under 3 minutes)
	$(GO) run ./internal/demo
demo-full: ## the same on 3,000,000 flights; needs npm to fetch them
	$(GO) run ./internal/demo -full
test: ## everything that must hold before a change lands: build, cross, race, tests, lint (18 minutes on 2 cores)
	$(GO) run ./internal/testrun test
bench: ## measure speed and compare it with the goals; SIZE (1GiB) is that of the state that commands work on
	$(GO) run ./internal/bench -size $(SIZE)
bench-backpressure: ## checkpoints under backpressure; writes docs/backpressure.md and its plot (5 minutes)
	$(GO) run ./internal/bench -pairs 1 -backpressure docs
fuzz: ## run each fuzz target for FUZZTIME (30s)
	$(GO) run ./internal/testrun fuzz
long: ## the long tests (80 minutes); adds their figures to testdata/RESULTS.md
	$(GO) run ./internal/testrun long
planted: ## plant each mistake of testdata/planted and demand that its test fails (8 minutes)
	$(GO) run ./internal/planted
lint: ## import rule, formatting, vet, staticcheck, size figures
	$(GO) test -count=1 -v ./internal/lint
cross: ## vet for six platforms, tests of the format on a 32-bit one
	$(GO) run ./internal/testrun cross
dist: ## static binaries for a release, with SHA-256 sums, in dist/; the same bytes wherever they are built
	$(GO) run ./internal/dist dist
oracle-samples: ## write testdata/flink anew with a real Flink; needs Java, and Maven once
	$(GO) run ./flink/oracle/samples
.PHONY: oracle-samples help demo demo-full test bench bench-backpressure fuzz long planted lint cross dist
