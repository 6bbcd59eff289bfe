# Gatepost. `make run`: a relay on port 2525. `make test`: the whole test suite. `make help` lists the rest.
PYTHON ?= $(firstword $(wildcard /usr/bin/python3.11) python3)
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 2525

.PHONY: help run test check lint unit crash faults fuzz soak tls-soak bench bench-scale clean

help:
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' $(MAKEFILE_LIST)

$(VENV)/.run: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.test: requirements-dev.lock requirements-ldap.lock $(VENV)/.run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-build-isolation \
	  -r requirements-ldap.lock || echo "python-ldap cannot be built here (it takes gcc, python3-dev, libldap-dev and" \
	  "libsasl2-dev): the tests of ldap: tables will be skipped"
	@touch $@

run: $(VENV)/.run ## a relay on port 2525 (PORT=) with a commented starter configuration in run/, its log on the screen
	@$(BIN)/python -m gatepost.cli.starter --port $(PORT) run

UNIT := $(addprefix tests/,bounce cleanup delivery dns ipc maillog master net qmgr queue restrictions rewrite smtpd tables)

test: $(VENV)/.test ## everything: style, types, layers, unit tests, dialogues, comparison with Postfix, scenarios
	$(BIN)/python -m pytest -q -n 3 --dist loadfile tests
	$(BIN)/python -m pytest -q -n 3 --dist loadfile --loop debug $(UNIT)

lint: $(VENV)/.test ## style, types and layers only
	$(BIN)/ruff check gatepost tests bench
	$(BIN)/mypy
	$(BIN)/lint-imports

crash: $(VENV)/.test ## 200 runs that kill a random process, or all, under load (about a quarter of an hour)
	$(BIN)/python -m pytest -q tests/crash --crash-runs 200

faults: $(VENV)/.test ## the fault runs in their long form: kills at work, full disks, damage, clocks (a quarter of an hour)
	$(BIN)/python -m pytest -q tests/crash tests/scenarios/test_delivery_faults.py --long-faults

fuzz: $(VENV)/.test ## long runs of the property tests
	$(BIN)/python -m pytest -q -n 2 tests -m hypothesis --hypothesis-profile long

soak: $(VENV)/.test ## 100,000 TLS sessions, full, resumed, broken off, hostile: memory stays where it is (five minutes)
	$(BIN)/python -m pytest -q tests/net/test_tls_soak.py --tls-sessions 100000

tls-soak: $(VENV)/.test ## 100,000 TLS sessions with a whole server, good and hostile: what its memory comes to (ten minutes; SESSIONS=)
	$(BIN)/python -m bench.tls_soak $(or $(SESSIONS),100000)

bench: $(VENV)/.test ## Postfix and Gatepost in turn, the same load, one table (ROWS= some only; needs root and Debian's postfix)
	$(BIN)/python -m compileall -q gatepost
	GATEPOST=$(abspath $(BIN))/gatepost $(PYTHON) bench/versus.py $(if $(ROWS),--rows "$(ROWS)")

bench-scale: $(VENV)/.test ## a million messages in the queue: 6 GiB in /var/tmp, a quarter of an hour (MESSAGES=, ROWS=; needs root and Debian's postfix)
	GATEPOST=$(abspath $(BIN))/gatepost $(BIN)/python bench/scale_bench.py $(if $(MESSAGES),--messages $(MESSAGES)) \
	  $(if $(ROWS),--rows "$(ROWS)")

clean:
	rm -rf $(VENV) run build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
