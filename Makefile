# All commands of the project. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
UV_VERSION := 0.13.9
UV := .tools/bin/uv
PY := .venv/bin/python
PORT ?= 8000
WORKERS ?= 2
TESTS ?= tests
SECRETS ?= secrets

.PHONY: help
help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.venv/.ready: uv.lock pyproject.toml libs/common/pyproject.toml services/*/pyproject.toml gateway/pyproject.toml operations/pyproject.toml deploy/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@test -x $(UV) && $(UV) --version | grep -q $(UV_VERSION) || { $(PYTHON) -m venv .tools && .tools/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION); }
	@$(UV) sync --frozen --quiet --compile-bytecode --python $(PYTHON)
	@touch $@

.PHONY: setup
setup: .venv/.ready  ## virtual environment with the locked dependencies

.PHONY: run
run: .venv/.ready  ## run the whole platform in one process on 127.0.0.1:$(PORT), with data in .data
	@exec $(PY) -m deploy.embedded_platform --port $(PORT)

.PHONY: run-processes
run-processes: .venv/.ready  ## run it as separate processes on Kafka and PostgreSQL (GATEWAYS=1 IDENTITY=1 DATASHARE=1 INCIDENT=1 AUDIT=1)
	@exec $(PY) -m deploy.local_platform --port $(PORT)

.PHONY: admins
admins: .venv/.ready  ## create the first administrators of the running platform, once (COMPOSE=1: in containers, PEOPLE=file)
	@$(PY) -m deploy.administrators $(if $(COMPOSE),--compose) $(if $(PEOPLE),--people $(PEOPLE))

.PHONY: secrets
secrets: .venv/.ready  ## generate all secrets of the separate processes, once, in $(SECRETS)
	@$(PY) -m deploy.secret_files $(SECRETS) --compose .env

.PHONY: certificates
certificates: secrets  ## generate a private CA and certificates for TLS between processes, once, in $(SECRETS)
	@$(PY) -m deploy.certificates $(SECRETS)

.PHONY: demo
demo: .venv/.ready  ## perform one data use, from registration to evidence (PLATFORM_URL= BOOTSTRAP= on a running platform, DEMO_OUT=)
	@$(PY) -m demo

.PHONY: check
check: .venv/.ready  ## ruff, mypy strict, import rules, generated files: under a minute
	@$(PY) -m ruff check --quiet .
	@$(PY) -m ruff format --check --quiet .
	@$(PY) -m mypy
	@.venv/bin/lint-imports --no-cache
	@$(PY) -m tools.generate --check
	@$(PY) -m tools.clause_coverage >/dev/null
	@$(PY) -m pytest -q -n 0 tests/architecture
	@echo "check: passed"

.PHONY: test
test: .venv/.ready  ## all tests but the long ones, on a real Kafka and PostgreSQL (WORKERS=2, TESTS=tests)
	@$(PY) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "not long and not processes" $(TESTS)
	@test "$(TESTS)" != tests || $(PY) -m pytest -n 0 -m "processes and not long" tests/faults

.PHONY: faults
faults: .venv/.ready  ## failures of processes, brokers, databases, disks and clocks, and the long tests
	@$(PY) -m pytest -n 0 tests/faults

.PHONY: bench
bench: .venv/.ready  ## measure the separate processes; appends to bench/history.jsonl (FIGURES="query tokens")
	@$(PY) -m bench $(FIGURES)

.PHONY: chaos
chaos: .venv/.ready  ## kill, stop and end processes RUNS= times during the scenario, and revoke RACES= tokens (SEED=)
	@$(PY) -m tests.faults.chaos

.PHONY: generate
generate: .venv/.ready  ## generate contracts and access matrix from the code
	@$(PY) -m tools.generate

.PHONY: format
format: .venv/.ready  ## format the code
	@$(PY) -m ruff check --fix --quiet . ; $(PY) -m ruff format --quiet .

.PHONY: clauses
clauses: .venv/.ready  ## list each obligation of the regulation with its tests
	@$(PY) -m tools.clause_coverage

.PHONY: test-compose
test-compose: .venv/.ready  ## test the platform in containers; needs a Docker engine
	@if docker info >/dev/null 2>&1 && docker compose version >/dev/null 2>&1; \
	then exec $(PY) -m pytest -n 0 -x -q tests/compose; \
	else echo "没有 Docker 引擎应答，略过 / no Docker engine answers: skipped"; fi

.PHONY: clean
clean:  ## remove virtual environments and caches, but no data
	@rm -rf .venv .tools .mypy_cache .ruff_cache .pytest_cache .hypothesis
