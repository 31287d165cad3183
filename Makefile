# The commands of a newcomer: `make demo` and `make test` install what they need.

GO ?= go
BIN := bin/station
TOOL := $(GO) tool -modfile=tools/go.mod
SOFTHSM := /usr/lib/softhsm/libsofthsm2.so
ASROOT := $(if $(filter 0,$(shell id -u)),,sudo)

.PHONY: build cross install uninstall deb debtest release releasetest vuln demo test flaky bench conformance deps lint soak fuzz

# make release VERSION=1.2.0 says which version it is; else the program names its commit.
VERSION ?=
STAMP := $(if $(VERSION),-ldflags "-X main.release=$(VERSION)")
build:
	$(GO) build -buildvcs=auto $(STAMP) -o $(BIN) ./cmd/station

# The program with man pages, completions, unit, udev rule and log rotation.
PREFIX ?= /usr/local
DESTDIR ?=
export GO
export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null)
install: build
	packaging/stage $(BIN) $(PREFIX) bin/stage
	cd bin/stage && find . -type f | sed 's/^\.//' > ../installed && install -Dm644 ../installed .$(PREFIX)/share/doc/station/installed
	mkdir -p "$(DESTDIR)/" && cp -r --no-preserve=ownership bin/stage/. "$(DESTDIR)/"

uninstall:
	while read -r f; do rm -f "$(DESTDIR)$$f"; done < "$(DESTDIR)$(PREFIX)/share/doc/station/installed"
	rm -f "$(DESTDIR)$(PREFIX)/share/doc/station/installed"
	find "$(DESTDIR)$(PREFIX)/share/doc/station" -depth -type d -empty -delete

# The Debian package of this machine's kind, or of another: make deb GOARCH=arm64 CC=aarch64-linux-gnu-gcc CGO_ENABLED=1
DEBVERSION = $(or $(VERSION),0~$(shell git log -1 --format=%cd.%h --date=format:%Y%m%d))
DIST := dist
deb: build
	packaging/deb $(BIN) $$($(GO) env GOARCH) $(DEBVERSION) $(DIST)

# The package in a clean root: installed, used, removed.
debtest: deb
	@command -v debootstrap >/dev/null || { $(ASROOT) apt-get update -qq && $(ASROOT) apt-get install -y -qq debootstrap; }
	$(ASROOT) packaging/debtest $(DIST)/station_$(DEBVERSION)_$$($(GO) env GOARCH).deb

# All that a release has: programs, package, what is in them, checksums.
release:
	@test -n "$(VERSION)" || { echo "which one? make release VERSION=1.2.0"; exit 2; }
	packaging/release $(VERSION) $(DIST)/$(VERSION)

# What a release of this machine alone would be, from a clone; and what make
# install brings, make uninstall takes away.
releasetest:
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && git clone -q . $$dir/src && cd $$dir/src && ONLY=own packaging/release 0.0.0 $$dir/out && \
	$(MAKE) -s install VERSION=0.0.0 DESTDIR=$$dir/root && test "$$($$dir/root/usr/local/bin/station version)" = "station version 0.0.0" && \
	$(MAKE) -s uninstall DESTDIR=$$dir/root && test -z "$$(find $$dir/root -type f)"

# Known faults of what is linked, by the database of the Go project as it was on
# one day, so that the same commit gives the same answer. As it is today:
# make vuln VULNDB=latest
VULNDB ?= v0.0.0-20261105234957-e22db6528018
vuln:
	packaging/vuln golang.org/x/vulndb@$(VULNDB)

# Builds for other machines, without cgo: everything but the token. What such a build
# does and what it refuses is tried with one for this machine (the build tag cross).
CROSS := linux/arm64 darwin/arm64 windows/amd64
cross:
	for t in $(CROSS); do echo $$t; CGO_ENABLED=0 GOOS=$${t%/*} GOARCH=$${t#*/} $(GO) build -o /dev/null ./cmd/station || exit 1; done
	$(GO) test -tags cross -count 1 -run '^TestWithoutCgo$$' ./cmd/station

demo: deps build
	$(BIN) demo

# Three virtual devices from the blank chip to their second firmware in the field.
.PHONY: demo-field
demo-field: deps build
	$(MAKE) -s -C device/secure_ota host
	@command -v curl >/dev/null && command -v openssl >/dev/null || { $(ASROOT) apt-get update -qq && $(ASROOT) apt-get install -y -qq curl openssl; }
	@device/demo-field

# Three benches and their site, which catches one that was set back.
.PHONY: demo-site
demo-site: deps build
	@fixtures/demo-site

# Everything under the race detector, the longest packages first. What has so many
# cases that it would take minutes tries a fixed sample of them here, and all of them
# in make cases, without the detector. vet is of make lint, and nobody debugs these
# programs: both would be a minute of what is compiled. At its end each would wait a
# second for races of goroutines that no test waited for.
DETECT := -race -vet=off -ldflags=-w
test flaky: export GORACE ?= atexit_sleep_ms=100
test: deps
	$(GO) test $(DETECT) -timeout 30m ./cmd/station ./internal/flow ./internal/site/faults ./internal/station ./internal/ledger ./...

.PHONY: cases
FULL := TestPowerCuts|TestSecureBootCuts|TestSecureBootOfEveryFamily|TestHMACKeyOfEveryFamily|TestStops|TestWire|TestADisturbedBurnIsCalledWhatItIs|TestRehearsalOfOnesOwnProduct|TestWriteByRAM|TestRAMSendsAgainWhatIsLost|TestRAMThatDoesNotComeToItsEnd|TestRAMIsFaster|TestLyingChips|TestRestarts|TestSoak|TestFloodingServers|TestSlotsKeepTheirWiresBusy|$\
	TestNoCommandSaysForeignTextRaw|TestForeignFiles|TestOutputs|TestHostile|Anywhere$$|$\
	TestEveryByte$$|TestEveryEntry$$|TestIdentityThroughAWireThatChangesABit|TestRoundTrip$$|TestScanOfDamage|TestScanIsTheLongWay|TestBigFits|TestForeignTextIsPlain|TestVirtualFaults|$\
	TestSlotAndVerdictAreTheLargest|TestViewFillsTheWindow|TestWatch$$|TestFaults$$|TestTenThousandClaims|TestResumedAtAnotherBench
FULL_IN := ./internal/port ./internal/flow ./internal/station ./cmd/station ./internal/ledger ./internal/ledger/boltfile ./internal/esploader ./internal/record ./internal/tui ./internal/bootlog ./internal/site/faults
cases: deps
	$(GO) test -vet=off -ldflags=-w -timeout 30m -run '$(FULL)' $(FULL_IN)

test cases flaky: export GOGC ?= 400# a third of the time went by in the collector
# Every entry of a ledger and every write of a virtual chip is synced, and no test
# is about the disk: all their files are in memory, where it has room for them.
DISK := $(or $(TMPDIR),/tmp)
test cases flaky: export TMPDIR = $(or $(shell \
	test "$$(df --output=avail /dev/shm 2>/dev/null | tail -n 1)" -gt 6000000 2>/dev/null && ! grep -q ' /dev/shm .*noexec' /proc/mounts && echo /dev/shm),$(DISK))

# Tests must not depend on luck: those of each package twenty times, then make test
# five times, the last two of them while both cores have other work. Takes hours.
FLAKY ?= 20
flaky: deps
	for pkg in $$($(GO) list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}' ./...); do \
		$(GO) test $(DETECT) -count $(FLAKY) -timeout 4h $$pkg || exit 1; done
	for i in 1 2 3; do $(MAKE) again || exit 1; done
	( while :; do :; done ) & a=$$!; ( while :; do :; done ) & b=$$!; trap "kill $$a $$b" EXIT; \
		for i in 4 5; do $(MAKE) again || exit 1; done

# make test, without what an earlier run has found.
.PHONY: again
again:
	$(GO) clean -testcache
	$(MAKE) test

# What a device costs on the wire and in time: the tables of docs/performance.md.
bench: deps
	@test -x /usr/sbin/nginx || { $(ASROOT) apt-get update -qq && $(ASROOT) apt-get install -y -qq nginx-light; }
	PATH=$$PATH:/usr/sbin $(GO) test -run '^$$' -bench '^Benchmark(Serve|Idle)$$' -benchtime 1x ./internal/serve
	$(GO) test -run '^$$' -bench '^Benchmark(Wire|Visit)$$' -benchtime 20x ./internal/flow
	$(GO) test -run '^$$' -bench '^BenchmarkSlots(RAM)?$$' -benchtime 1x ./internal/flow

# A client of others against the virtual chip.
conformance: deps build conformance/node_modules
	node conformance/run.mjs $(BIN)

conformance/node_modules: conformance/package-lock.json
	@command -v node >/dev/null && command -v npm >/dev/null || \
		{ $(ASROOT) apt-get update -qq && $(ASROOT) apt-get install -y -qq nodejs npm; }
	cd conformance && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

# Debian packages: the HSM that runs in software, a C compiler for PKCS#11 and for
# the component for devices, its crypto library, two serial port servers of
# others and a database to test against.
PACKAGES := softhsm2 gcc libc6-dev libmbedtls-dev python3-serial ser2net swupdate postgresql
deps:
	@test -e $(SOFTHSM) -a -e /usr/include/mbedtls/ssl.h -a -x /usr/sbin/ser2net -a -x /usr/bin/swupdate && ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 && command -v gcc >/dev/null && /usr/bin/python3 -c 'import serial' 2>/dev/null || \
		{ $(ASROOT) apt-get update -qq && $(ASROOT) apt-get install -y -qq $(PACKAGES); }

# The component for devices: built and tested on this machine with Debian's Mbed
# TLS, under sanitizers. What it is: docs/secure-ota.md.
.PHONY: device device-deps fuzz-device
DEVICE_PACKAGES := clang libclang-rt-14-dev gcc-xtensa-lx106 picolibc-xtensa-lx106-elf
device: deps device-deps
	$(MAKE) -s -C device/secure_ota test memory portable fuzz

# The component's fuzzers for FUZZTIME each.
fuzz-device: deps device-deps
	$(MAKE) -s -C device/secure_ota fuzz-long FUZZTIME=$(FUZZTIME:s=)

# The loader that runs in the chip's RAM, and the programs that the interpreter of its
# instructions is tested with: built anew, to the very bytes that are embedded and
# tested. UPDATE=1 takes other bytes.
.PHONY: loader
LOADER_BUILT := internal/esploader/ramloader.bin $(addprefix internal/xtensa/testdata/,every.bin program-Os.bin program-O2.bin) internal/sim/testdata/code/probe.bin
loader: device-deps
	$(MAKE) -s -B -C device/loader
	cp device/loader/loader.bin internal/esploader/ramloader.bin
	$(MAKE) -s -B -C internal/xtensa/testdata
	$(MAKE) -s -B -C internal/sim/testdata/code
	$(if $(UPDATE),sha256sum $(LOADER_BUILT) > device/loader/SHA256SUMS)
	sha256sum -c --quiet device/loader/SHA256SUMS

device-deps:
	@command -v clang >/dev/null && command -v xtensa-lx106-elf-gcc >/dev/null && test -e /usr/lib/xtensa-lx106-elf/include/string.h || \
		{ $(ASROOT) apt-get update -qq && DEBIAN_FRONTEND=noninteractive $(ASROOT) apt-get install -y -qq --no-install-recommends $(DEVICE_PACKAGES); }

# The tokens of others that Debian has, each brought up in a folder of its own: what
# works with which is docs/tokens.md, which UPDATE=1 writes.
TOKENS := softhsm opencryptoki tpm nss remote
TOKEN_PACKAGES := opencryptoki libtpm2-pkcs11-1 libtpm2-pkcs11-tools swtpm swtpm-tools tpm2-tools tpm2-abrmd \
	libtss2-tcti-tabrmd0 libtss2-tcti-swtpm0 dbus libnss3 libnss3-tools p11-kit p11-kit-modules opensc
tokens: deps token-deps
	$(GO) test -tags tokens -c -o bin/tokens.test ./cmd/station
	@cd cmd/station && for t in $(TOKENS); do \
		echo "$$t"; ../../tools/tokens/$$t.sh ../../bin/tokens.test -test.run '^TestToken$$' $(if $(UPDATE),-update-tokens) || exit 1; \
	done

token-deps:
	@for p in $(TOKEN_PACKAGES); do dpkg-query -W -f '$${Status}\n' $$p 2>/dev/null | grep -q 'ok installed' || missing=1; done; \
		test -z "$$missing" || { $(ASROOT) apt-get update -qq && DEBIAN_FRONTEND=noninteractive $(ASROOT) apt-get install -y -qq --no-install-recommends $(TOKEN_PACKAGES); }

# The site's page in a real browser, which trusts the site's CA alone. UPDATE=1 draws
# the pictures of the docs anew.
.PHONY: page page-deps
PAGE_PACKAGES := chromium libnss3-tools fonts-liberation fonts-wqy-microhei
page: deps page-deps
	$(GO) test -tags browser -count 1 -run '^TestPageInBrowser$$' ./cmd/station $(if $(UPDATE),-update-screens)

page-deps:
	@for p in $(PAGE_PACKAGES); do dpkg-query -W -f '$${Status}\n' $$p 2>/dev/null | grep -q 'ok installed' || missing=1; done; \
		test -z "$$missing" || { $(ASROOT) apt-get update -qq && DEBIAN_FRONTEND=noninteractive $(ASROOT) apt-get install -y -qq --no-install-recommends $(PAGE_PACKAGES); }

lint:
	@unformatted=$$(gofmt -l cmd internal fixtures); test -z "$$unformatted" || { echo "gofmt: $$unformatted"; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags browser,cross ./cmd/station
	$(TOOL) staticcheck ./...
	$(TOOL) depguard ./...

# Virtual devices with faults of every kind, over eight slots; then several jobs,
# batches and people beside the line, all held against a model of ten rules.
SEED ?= 1
DEVICES ?= 1000
soak: deps
	SOAK_SEED=$(SEED) SOAK_DEVICES=$(DEVICES) $(GO) test -count 1 -timeout 60m -run '^TestSoak$$' -v ./internal/flow ./cmd/station

# Every fuzz target for FUZZTIME.
FUZZTIME ?= 20s
fuzz: deps
	@for pkg in $$($(GO) list ./...); do \
		for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			echo "$$pkg $$target"; $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$pkg || exit 1; \
		done; \
	done
