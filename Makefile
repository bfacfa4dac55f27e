# `make demo` and `make test` are the two commands; the rest is behind them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: demo test venv lint types contracts unit lock clean

demo: venv
	$(BIN)/python -m experiments.mobilenetv2_ensemble --preset demo

test: lint types contracts unit

venv: $(STAMP)

# Exact versions from constraints.txt; the project itself is installed in place.
$(STAMP): setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 14) else "Python 3.11 to 3.13 is needed, this is %d.%d: make PYTHON=python3.11 ..." % v)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]' --constraint constraints.txt
	touch $@

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: venv
	$(BIN)/mypy

contracts: venv
	$(BIN)/lint-imports

unit: venv
	$(BIN)/python -m pytest

# Write constraints.txt anew from the newest versions that setup.cfg admits.
lock:
	rm -rf build/lock && $(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,federated]'
	{ echo "# Exact versions that make installs. Refresh: make lock (Python 3.11), then make test."; \
	  build/lock/bin/python -m pip freeze --exclude-editable; } > constraints.txt
	rm -rf build/lock

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
