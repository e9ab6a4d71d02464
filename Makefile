# make install, make demo, make test, make check, make bench; needs make and Python 3.11 or newer, brings the rest.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:

BIN := .venv/bin
STAMPS := .venv/stamps
INSTALL := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint requirements/constraints.txt
INTERFACE := $(shell find frontend -type f -not -path '*/node_modules/*' 2>/dev/null)

.PHONY: help install demo tracker test check bench format docs lock clean

help: ## what there is to make
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(STAMPS)/dev $(STAMPS)/interface ## .venv with everything, the built interface included

demo: $(STAMPS)/run $(STAMPS)/interface ## Orakul at work, with sample tasks, in the browser; Ctrl-C ends it
	@exec $(BIN)/orakul demo $(DEMO)

tracker: $(STAMPS)/run $(STAMPS)/interface ## the sample services with their events, at port 8000; Ctrl-C ends them
	@exec $(BIN)/python examples/defect_tracker/tracker.py $(TRACKER)

test: install ## all tests, with real PostgreSQL, Redis, RabbitMQ and Chromium (brought where they can be)
	@scripts/test-servers.sh
	$(BIN)/python -m pytest $(TESTS)
	@scripts/npm.sh run check

check: install ## style, types, floors and unit tests: what to run before a commit
	@scripts/npm.sh run --silent check >.venv/interface-check.log 2>&1 & interface=$$!; \
	$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy && $(BIN)/lint-imports --no-logo && \
	$(BIN)/python -m pytest tests/unit -n 4 && \
	{ wait $$interface || { cat .venv/interface-check.log; exit 1; }; } && tail -1 .venv/interface-check.log

bench: install ## the benchmarks, one after the other (make bench BENCH=stream for one)
	@scripts/test-servers.sh
	@for file in benchmarks/$(or $(BENCH),*).py; do echo "== $$file"; $(BIN)/python $$file; done

format: install ## put the code in the usual form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: install ## write the settings reference anew, from the settings
	$(BIN)/python scripts/settings_reference.py > docs/settings.md

lock: ## resolve the dependencies anew, to the newest that fit
	rm -rf .venv/lock && python3 -m venv .venv/lock
	.venv/lock/bin/python -m pip install --quiet --upgrade pip hatchling editables
	.venv/lock/bin/python -m pip install --quiet --no-build-isolation --editable '.[all]' --group dev
	scripts/freeze.sh .venv/lock/bin/python > requirements/constraints.txt
	rm -rf .venv/lock

clean: ## remove what was made here (not your data folder)
	rm -rf .venv frontend/node_modules src/orakul/web/interface test-results .pytest_cache .mypy_cache .ruff_cache

$(BIN)/python:
	@scripts/venv.sh .venv

$(STAMPS)/run: $(BIN)/python pyproject.toml requirements/constraints.txt
	@mkdir -p $(STAMPS); echo "Installing Orakul into .venv …" >&2
	@$(INSTALL) --upgrade pip hatchling editables >&2
	@$(INSTALL) --no-build-isolation --editable '.[all]' >&2
	@touch $@

$(STAMPS)/dev: $(STAMPS)/run
	@echo "Installing the tools and peers of the tests …" >&2
	@$(INSTALL) --group dev >&2
	@touch $@

$(STAMPS)/interface: $(STAMPS)/run $(INTERFACE)
	@echo "Building the interface …" >&2
	@scripts/npm.sh install --no-save --no-audit --no-fund --loglevel=error >&2
	@scripts/npm.sh run --silent build >&2
	@touch $@
