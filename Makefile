# Everything a newcomer needs. `make help` lists the targets.
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
run: .venv/.ready  ## start the whole platform in one process on 127.0.0.1:$(PORT); data in .data
	@exec $(PY) -m deploy.embedded_platform --port $(PORT)

.PHONY: run-processes
run-processes: .venv/.ready  ## the same as separate processes on Kafka and PostgreSQL (GATEWAYS=1 IDENTITY=1 DATASHARE=1 INCIDENT=1 AUDIT=1)
	@exec $(PY) -m deploy.local_platform --port $(PORT)

.PHONY: admins
admins: .venv/.ready  ## the first administrators of authority and center on the platform that runs here, once (COMPOSE=1: in containers, PEOPLE=file)
	@$(PY) -m deploy.administrators $(if $(COMPOSE),--compose) $(if $(PEOPLE),--people $(PEOPLE))

.PHONY: secrets
secrets: .venv/.ready  ## every secret of the separate processes at random, once, in $(SECRETS)
	@$(PY) -m deploy.secret_files $(SECRETS) --compose .env

.PHONY: certificates
certificates: secrets  ## an authority of one's own and certificates for TLS between the processes, once, in $(SECRETS)
	@$(PY) -m deploy.certificates $(SECRETS)

.PHONY: demo
demo: .venv/.ready  ## play one data use from registration to evidence (PLATFORM_URL= BOOTSTRAP= on a running platform, DEMO_OUT=)
	@$(PY) -m demo

.PHONY: check
check: .venv/.ready  ## ruff, mypy strict, import borders, generated files: under a minute
	@$(PY) -m ruff check --quiet .
	@$(PY) -m ruff format --check --quiet .
	@$(PY) -m mypy
	@.venv/bin/lint-imports --no-cache
	@$(PY) -m tools.generate --check
	@$(PY) -m tools.clause_coverage >/dev/null
	@echo "check: all well"

.PHONY: test
test: .venv/.ready  ## every test but the long ones, those on Kafka against a real one (WORKERS=2, TESTS=tests)
	@$(PY) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "not long and not processes" $(TESTS)
	@test "$(TESTS)" != tests || $(PY) -m pytest -n 0 -m "processes and not long" tests/faults

.PHONY: faults
faults: .venv/.ready  ## what befalls processes, brokers, databases, disks and clocks, the long tests too
	@$(PY) -m pytest -n 0 tests/faults

.PHONY: bench
bench: .venv/.ready  ## measure the platform by processes, with spread; appends to bench/history.jsonl (FIGURES="query tokens")
	@$(PY) -m bench $(FIGURES)

.PHONY: chaos
chaos: .venv/.ready  ## kill, stop and end processes RUNS= times while lives run and RACES= tokens are revoked (SEED=)
	@$(PY) -m tests.faults.chaos

.PHONY: generate
generate: .venv/.ready  ## write the files that are made from code
	@$(PY) -m tools.generate

.PHONY: format
format: .venv/.ready  ## format the code
	@$(PY) -m ruff check --fix --quiet . ; $(PY) -m ruff format --quiet .

.PHONY: clauses
clauses: .venv/.ready  ## each obligation of the regulation with its tests
	@$(PY) -m tools.clause_coverage

.PHONY: test-compose
test-compose: .venv/.ready  ## the platform in containers: built, played on, killed, scaled, taken down; needs a Docker engine
	@if docker info >/dev/null 2>&1 && docker compose version >/dev/null 2>&1; \
	then exec $(PY) -m pytest -n 0 -x -q tests/compose; \
	else echo "没有 Docker 引擎应答，略过 / no Docker engine answers: skipped"; fi

.PHONY: clean
clean:  ## remove virtual environments and caches, not the data
	@rm -rf .venv .tools .mypy_cache .ruff_cache .pytest_cache .hypothesis
