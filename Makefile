# belfry. The two commands to know: make run, make test.

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.0
HELM := helm.sh/helm/v3/cmd/helm@v3.21.4
GOSOURCES := $(shell git ls-files '*.go' '*.sql' go.mod go.sum web/unbuilt 2>/dev/null)
WEBSOURCES := web/copy-client.mjs $(shell find web/demo -type f -not -path '*/node_modules/*')
DEMO := web/dist/demo/index.html
MODULES := web/node_modules/.package-lock.json
PEERS := bench/socketio/node_modules/.package-lock.json

.PHONY: build run test web lint lint-deploy test-go test-peers test-web bench million bench-peers soak chaos fuzz clean

build: bin/belfry  ## the program with its pages

run: build         ## start the demo
	./bin/belfry demo

test: lint test-go test-peers test-web  ## everything that must hold

bin/belfry: $(DEMO) $(GOSOURCES)
	go build -trimpath -ldflags '-X main.version=$(VERSION)' -o $@ ./cmd/belfry

web: $(DEMO)       ## the pages alone

$(MODULES): web/package-lock.json $(wildcard web/package.json web/*/package.json)
	scripts/need node
	cd web && npm ci --no-audit --no-fund
	@touch $@

$(DEMO): $(MODULES) $(WEBSOURCES)
	cd web && npm run --silent build
	@touch $@

lint:
	@test -z "$$(gofmt -l $(filter %.go,$(GOSOURCES)) | tee /dev/stderr)" || { echo 'run: gofmt -w .'; exit 1; }
	go vet ./...
	go run $(STATICCHECK) ./...
	cd internal/ferretdb && go vet .

CHART := deploy/helm/belfry --kube-version 1.30 --set secret.existing=s
lint-deploy:       ## the Helm chart
	go run $(HELM) lint --strict $(CHART)
	go run $(HELM) template $(CHART) --set ingress.enabled=true >/dev/null

test-go: $(MODULES)  ## the chaos test has pages by the official clients
	scripts/need redis-server
	go test -race -p 3 -timeout 9m ./...  # many of them wait: for leases, heartbeats, disks

$(PEERS): bench/socketio/package-lock.json
	scripts/need node
	npm --prefix bench/socketio ci --no-audit --no-fund --silent
	@touch $@

test-peers: $(PEERS)  ## the comparison with other servers, in small
	cd bench && go vet ./... && go run $(STATICCHECK) ./... && go test ./...

test-web: bin/belfry
	scripts/need chromium
	cd web && npm run --silent typecheck && npm run --silent e2e

bench:             ## the figures of docs/BENCHMARKS.md
	go test -run '^$$' -bench . -benchmem ./...

million:           ## what pages cost from 10,000 to 1,000,000, in memory; minutes, and 6 GB
	for pages in 10000 100000 1000000; do \
		BELFRY_CROWD=1 go test -run '^$$' -bench "Crowd/^$$pages\$$" -benchtime 1x -timeout 60m ./server || exit 1; \
	done

bench-peers:       ## belfry beside other servers: table and plots of docs/BENCHMARKS.md
	bench/run

SOAK := 3m
soak:              ## more than the server can deliver, to pages that come and go: make soak SOAK=30m
	BELFRY_SOAK=$(SOAK) go test -count=1 -race -run '^TestSoak$$' -v -timeout 24h ./load

CHAOS := 5m
chaos: $(MODULES)  ## three nodes while everything they consist of is killed, stopped and cut off: make chaos CHAOS=30m
	scripts/need redis-server
	CHAOS=$(CHAOS) go test -count=1 -race -run '^TestNothingIsLostOrDoubled$$' -v -timeout 24h ./internal/chaos

fuzz:              ## every parser of outside bytes, 30 s each
	scripts/fuzz 30s

clean:
	rm -rf bin web/dist/demo web/dist/client web/node_modules web/*/node_modules web/e2e/openapi/generated bench/socketio/node_modules
