# One line of help a target: the text behind "##".

SQLC      := go run github.com/sqlc-dev/sqlc/cmd/sqlc@v1.31.1
LINT      := go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
# A test that fails runs again, twice at most, and is reported: shared cores stall real
# servers for seconds at times. What fails three times fails.
GOTESTSUM := go run gotest.tools/gotestsum@v1.13.0 --format pkgname-and-test-fails --rerun-fails=2

# The packages whose tests are about concurrency. Not the SQLite dialect, nor the suite
# that drives it at length: its engine is C turned into Go, behind one connection.
RACE := ./internal/plan/... ./internal/scheduler/... ./internal/store/postgres/... ./internal/store/migrate/... ./internal/runtime/... ./internal/app/... ./internal/feed/... ./workers/... ./api/...

.PHONY: help run test test/race test/image test/postgres lint generate verify bench bench/size bench/quick load load/audit load/garage load/verify load/streams faults faults/short liveness faults/mutations faults/postgres

help: ## print this list
	@awk -F ':.*## ' '/^[a-z\/]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## serve on 127.0.0.1:8080 with the embedded backend, rows in ./data
	go run ./cmd/parkinglot serve

test: test/postgres ## run every test, on all three backends
	$(GOTESTSUM) --packages "./..." -- -timeout 20m

test/race: test/postgres ## run the tests of the concurrent packages under the race detector
	$(GOTESTSUM) --packages "$(RACE)" -- -race -timeout 25m

test/postgres: ## see to it that the tests have a Postgres: a DSN, a container image, or installed binaries
	@.ci/ensure-postgres

test/image: ## build the Postgres images for testcontainers from Debian packages (root, debootstrap, Docker)
	internal/dbtest/image/build.sh 15
	internal/dbtest/image/build.sh 17

lint: ## run all linters
	$(LINT) run ./...

generate: ## write generated code anew: queries, OpenAPI document, client
	$(SQLC) generate
	go generate ./...

liveness: test/postgres ## kill a worker that holds half the units, five times: seconds until its work runs elsewhere
	go test ./internal/e2e -run '^TestKilledWorker$$' -count=5 -v | grep -E 'elsewhere after|^(ok|FAIL)'

verify: ## check that what is generated is fresh and that go.mod is tidy
	.ci/verify

bench: ## measure lifecycles beside River alone on a Postgres of its own; writes docs/benchmarks.md
	go run ./internal/bench/cmd

bench/size: ## the same with millions of rows in the tables
	go run ./internal/bench/cmd -size

bench/quick: ## one short round of make bench; writes nothing
	go run ./internal/bench/cmd -quick

load/audit: ## GET /audit over HTTP by task, tenant and pool in 10,000,000 events of one day
	go run ./internal/loadtest/audit

load/garage: ## entries into a facility of 10,000 spots over HTTP, paced and flat out
	go run ./internal/loadtest/garage

load/verify: ## verify on a history of 1,000,000 events: time and memory, from the tables and through a server
	go build -o bin/parkinglot ./cmd/parkinglot
	go run ./internal/loadtest/verify -server bin/parkinglot

load/streams: ## 2,000 mailbox streams on one server, 500 outcomes a second, cut and resumed
	go run ./internal/loadtest/streams

load: ## 20,000 submissions from 64 connections on each backend, proven by the history checker
	go run ./internal/loadtest/cmd

# How long faults last, and from which schedule; 0: a random one, which is printed.
DURATION ?= 30m
SEED     ?= 0

faults/postgres: ## see to it that there are server binaries to break
	@.ci/ensure-postgres binaries

faults: faults/postgres ## break a fleet for 30 minutes (DURATION=, SEED=) and prove that nothing was lost
	go run ./internal/faults/cmd --duration $(DURATION) --seed $(SEED)

faults/short: faults/postgres ## the same for 2 minutes
	go run ./internal/faults/cmd --duration 2m --seed $(SEED)

faults/mutations: faults/postgres ## leave out the lock, the guard, the fence, the outbox's order, and see that it is noticed
	go run ./internal/faults/cmd --mutations all --seed $(SEED)
