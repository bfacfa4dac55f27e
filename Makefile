# `make demo` and `make test` are the two commands; the rest is behind them.
PYTHON ?= python3
VENV := .venv
LOCK := constraints.txt
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check

export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: demo test venv lint types contracts unit bench oracle lock upgrade-check clean

demo: $(VENV)/.demo
	$(BIN)/python -m experiments.mobilenetv2_ensemble --preset demo

test: lint types contracts unit

venv: $(VENV)/.test

# The demo does with the first part of the lock.
$(VENV)/.demo: setup.cfg pyproject.toml $(LOCK)
	$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 14) else "Python 3.11 to 3.13 is needed, this is %d.%d: make PYTHON=python3.11 ..." % v)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	sed -n -e '/^# What follows/q' -e p $(LOCK) > $(VENV)/demo.txt
	$(call install,$(VENV)/demo.txt)
	touch $@

$(VENV)/.test: $(VENV)/.demo
	$(call install,$(LOCK))
	touch $@

# The files whose hashes the lock has, then the project in place. By uv, which takes a tenth of pip's time: the machine's
# own or the one that the lock names. Where uv cannot (it does not read pip's settings of other registries), by pip.
define install
sed -n '/^uv==/,/[^\\]$$/p' $(LOCK) > $(VENV)/uv.txt
command -v uv > /dev/null || test -x $(BIN)/uv || $(PIP) --require-hashes --requirement $(VENV)/uv.txt
"$$(command -v uv || echo $(BIN)/uv)" pip install --quiet --python $(BIN)/python --require-hashes --requirement $(1) \
	|| $(PIP) --require-hashes --requirement $(1)
$(PIP) --no-deps --no-build-isolation --editable .
endef

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
	sed -n 's/^\([A-Za-z0-9_.-]*==[^ ;]*\).*/\1/p' $(LOCK) > build/bench/pins.txt
	build/bench/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[bench,federated]' --constraint build/bench/pins.txt
	build/bench/bin/python tests/benchmarks/bench.py

# Write constraints.txt anew from the newest versions that setup.cfg admits, and docs/dependencies.md from what they say.
lock: venv
	$(BIN)/python docs/dependencies.py lock
	$(MAKE) venv
	$(BIN)/python docs/dependencies.py licenses

# What `make lock` would change, and whether the tests pass with it, in an environment of its own.
upgrade-check: venv
	$(BIN)/python docs/dependencies.py upgrades
	$(MAKE) unit VENV=build/upgrade/venv LOCK=build/upgrade/constraints.txt

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
