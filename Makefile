GO      ?= go
# Two packages at a time: every one of them may start a server of its own.
P       ?= 2
TIMEOUT ?= 20m
FUZZ    ?= 60s
SOAK    ?= 30m
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null)

.PHONY: help test short check services build demo bench soak fuzz

help: ## what can be made
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile

test: services check ## every test, against real servers and a real browser
	$(GO) test -race -p $(P) -timeout $(TIMEOUT) ./...

short: check ## the tests that need no server
	$(GO) test -short ./...

check: ## formatting, vet, staticcheck; without Entra ID too
	@fmt=$$(gofmt -l cmd portal verify directory static templates locales) || exit 1; \
		if [ -n "$$fmt" ]; then echo "not formatted (gofmt -w):" $$fmt >&2; exit 1; fi
	$(GO) vet ./...
	$(GO) vet -tags noentra ./...
	$(GO) build -tags noentra -o /dev/null ./cmd/postern
	$(GO) tool staticcheck ./...

services: ## install or name what the tests need
	@.ci/services

build: ## one static binary, ./postern
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o postern ./cmd/postern

demo: ## a portal with sample people on http://localhost:8080
	$(GO) run ./cmd/postern demo

bench: services ## the tables of measurements
	$(GO) test ./portal/portaltest -run '^$$' -bench . -timeout 60m
	$(GO) test ./portal/store -run '^$$' -bench Growth -benchtime 1x -timeout 60m

soak: services ## mixed cases for SOAK=30m while everything fails in turn
	POSTERN_SOAK=$(SOAK) $(GO) test ./portal/portaltest -run '^TestSoak$$' -count 1 -v -timeout 24h

# go test fuzzes one target of one package at a time.
fuzz: ## every fuzz target, FUZZ=60s each
	@grep -rlE --include='*_test.go' '^func Fuzz' cmd portal verify directory | while read -r file; do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$$file"); do \
			echo "$$target ($$(dirname "$$file"))"; \
			$(GO) test "./$$(dirname "$$file")" -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZ) </dev/null || exit 1; \
		done; \
	done
