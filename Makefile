# Every target makes what it needs; only make and Python 3.11 or later must be there.
# PYTHON=/path/to/python chooses the interpreter, PYTEST_ARGS="-k name" the tests.

PYTHON ?= $(firstword $(foreach python,python3 python3.14 python3.13 python3.12 python3.11,$(shell \
	$(python) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $(python))))
PYTEST_ARGS ?=
BENCH_ARGS ?=
BIN := .venv/bin
AUDIT := .venv/audit/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
LOCK := $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --custom-compile-command 'make lock'

.DEFAULT_GOAL := help
.PHONY: help run setup test bench lint bench-freshness format eval dashboards manifests pictures sbom audit \
	lock wheel clean

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 17

run: .venv/runtime.stamp ## Start the demo: the exporter and a simulated DLI, no account needed
	$(BIN)/dli-exporter demo

test: lint ## Run all checks and tests
	$(BIN)/python -m pytest $(PYTEST_ARGS)

bench: setup ## Measure the performance goals beside others (BENCH_ARGS=--small for seconds)
	$(BIN)/python -m tests.bench $(BENCH_ARGS)

lint: setup ## Check format, style, types and layers
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

bench-freshness: setup ## Simulate the age of the data at the scrape, on virtual time
	$(BIN)/python -m tests.bench.freshness $(BENCH_ARGS)

format: setup ## Write the code in its one format
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

eval: setup ## Say how far the progress shown is from the time really passed
	$(BIN)/python -m tests.evaluation

dashboards: setup ## Write the dashboards anew
	$(BIN)/python -m grafana.generator

manifests: setup ## Write the PrometheusRules of the Kubernetes manifests anew
	$(BIN)/python deploy/kustomize/generate.py

pictures: setup tests/render/node_modules ## Draw the dashboards into grafana/pictures
	mkdir -p grafana/pictures
	PICTURES=$(CURDIR)/grafana/pictures $(BIN)/python -m pytest tests/e2e/test_pictures.py

sbom: .venv/audit.stamp ## Write the list of what the exporter is made of, dist/sbom.cdx.json
	mkdir -p dist
	$(AUDIT)/cyclonedx-py requirements --output-file dist/sbom.cdx.json deploy/requirements.lock

audit: .venv/audit.stamp ## Ask for known vulnerabilities of what the exporter is made of
	$(AUDIT)/pip-audit --require-hashes --disable-pip --requirement deploy/requirements.lock

wheel: .venv/runtime.stamp ## Build the wheel into dist/
	rm -rf dist
	$(PIP) wheel --no-deps --no-build-isolation --wheel-dir dist .

lock: .venv/pip.stamp ## Write the lock files anew, with the newest releases
	$(PIP) install uv
	$(LOCK) --output-file deploy/requirements.lock pyproject.toml
	$(LOCK) --output-file deploy/build.lock --group build
	$(LOCK) --output-file tests/requirements.lock --group dev pyproject.toml
	$(LOCK) --output-file tests/spark.lock --group spark
	$(LOCK) --output-file tests/audit.lock --group audit

clean: ## Remove everything made here
	rm -rf .venv dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find exporter tests -name __pycache__ -prune -exec rm -rf {} +

setup: .venv/dev.stamp ## Make the virtual environment with all that developing needs

.venv/pip.stamp:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later with venv is missing; install it" \
		"(Debian: apt-get install python3-venv) or name it: make PYTHON=/path/to/python" >&2; exit 1; }
	"$(PYTHON)" -m venv .venv
	@touch $@

.venv/runtime.stamp: .venv/pip.stamp pyproject.toml deploy/requirements.lock deploy/build.lock
	$(PIP) install --require-hashes -r deploy/requirements.lock -r deploy/build.lock
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

.venv/dev.stamp: .venv/runtime.stamp tests/requirements.lock
	$(PIP) install --require-hashes -r tests/requirements.lock
	@touch $@

# In an environment of its own: what audits is not to change what is tested.
.venv/audit.stamp: .venv/pip.stamp tests/audit.lock
	$(BIN)/python -m venv .venv/audit
	.venv/audit/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r tests/audit.lock
	@touch $@

tests/render/node_modules: tests/render/package-lock.json
	npm ci --prefix tests/render --ignore-scripts --no-audit --no-fund
	@touch $@
