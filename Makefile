# `make demo` and `make test` are the two commands; the rest is behind them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: demo test quick docs venv lint types contracts unit reliability bench oracle lock clean

demo: venv
	$(BIN)/python -m experiments.mobilenetv2_ensemble --preset demo

test: lint types contracts docs unit

# What is wrong most often, in minutes: everything but the tests that train or export a network.
quick: lint types contracts
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile tests/*.py tests/data tests/layers tests/losses \
	  tests/metrics tests/report tests/study --ignore tests/test_classifier.py --ignore tests/test_predict.py

# Guides and API reference, in build/docs; a warning is an error.
docs: venv
	rm -rf docs/reference/generated
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs build/docs

venv: $(STAMP)

# Exact versions from constraints.txt; the project itself is installed in place.
$(STAMP): setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 14) else "Python 3.11 to 3.13 is needed, this is %d.%d: make PYTHON=python3.11 ..." % v)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,federated]' --constraint constraints.txt
	touch $@

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: venv
	$(BIN)/mypy

contracts: venv
	$(BIN)/lint-imports

# Two processes: most of a test's time is tracing, which uses one core. Fixtures are a file's, so files stay whole.
unit: venv
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

# Kills, power failures, full disks and two processes on one run, as often as SECURITY.md says; `unit` has a sample.
reliability: venv
	$(BIN)/python -m pytest -m 'reliability or not reliability' tests/reliability

# Record anew what tensorflow-addons' losses give; it needs Keras 2, so an environment of its own, Python 3.9 to 3.11.
ORACLE_PYTHON ?= python3.11
oracle:
	$(ORACLE_PYTHON) -m venv build/oracle
	build/oracle/bin/python -m pip install --quiet --disable-pip-version-check --requirement tests/oracles/requirements.txt
	build/oracle/bin/python tests/oracles/tensorflow_addons_losses.py tests/oracles/tensorflow_addons_losses.json
	git diff --stat tests/oracles

# This project beside PyTorch, albumentations, pytorch-metric-learning and Flower, into tests/benchmarks/results.md:
# about half an hour on two idle cores. An environment of its own: PyTorch is large and nothing else needs it.
bench:
	test -x build/bench/bin/python || $(PYTHON) -m venv build/bench
	build/bench/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[bench,federated]' --constraint constraints.txt
	build/bench/bin/python tests/benchmarks/bench.py

# Write constraints.txt anew from the newest versions that setup.cfg admits.
lock:
	rm -rf build/lock && $(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,federated]'
	{ echo "# Exact versions that make installs. Refresh: make lock (Python 3.11), then make test."; \
	  build/lock/bin/python -m pip freeze --exclude-editable; } > constraints.txt
	rm -rf build/lock

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
