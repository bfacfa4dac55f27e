# `make demo` and `make test` are the two commands; the rest is behind them.
PYTHON ?= python3
VENV := .venv
LOCK := constraints.txt
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check
# uv takes a tenth of pip's time: the machine's own, or the one that the lock names. `make UV=false ...` does without.
UV = $(shell command -v uv || echo $(BIN)/uv)
# pip compiles what it installs, uv leaves that to the first import. Where Python may not write what it compiles, as in
# many containers, every process would compile TensorFlow anew, which takes longer than to import it.
COMPILE = $(if $(PYTHONDONTWRITEBYTECODE),--compile-bytecode)

export TF_CPP_MIN_LOG_LEVEL ?= 2
# Two processes: most of a test's time is tracing, which uses one core. Fixtures are shared within a file, so each
# file stays in one process; tests/conftest.py runs the longest files first.
PYTEST = $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

.PHONY: demo test quick docs venv lint types contracts unit papers backends reliability bench oracle lock upgrade-check clean

demo: $(or $(wildcard $(VENV)/.test),$(VENV)/.demo)
	$(BIN)/python -m experiments.mobilenetv2_ensemble --preset demo

test: lint types contracts docs unit

# Catches the most common failures in minutes: everything but the tests that train or export a network, or start TensorFlow in
# one process after the other. Files are listed one by one, since --ignore has no effect on a file that is named.
SLOW = tests/test_classifier.py tests/test_predict.py tests/test_tuning.py
quick: lint types contracts
	$(PYTEST) $(filter-out $(SLOW),$(wildcard tests/test_*.py)) tests/data tests/layers tests/losses tests/metrics \
	  tests/report tests/study --ignore tests/layers/test_check_layer.py

# Guides and API reference, in build/docs; a warning is an error.
docs: venv
	rm -rf docs/reference/generated
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs build/docs

venv: $(VENV)/.test

# The demo needs the first part of the lock only; a file whose hash is another is refused. Then the project, in place.
$(VENV)/.demo: LOCKED = $(VENV)/demo.txt
$(VENV)/.test: LOCKED = $(LOCK)
$(VENV)/.demo $(VENV)/.test: setup.cfg pyproject.toml $(LOCK)
	$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 14) else "Python 3.11 to 3.13 is needed, this is %d.%d: make PYTHON=python3.11 ..." % v)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	sed '/^# What follows/,$$d' $(LOCK) > $(VENV)/demo.txt
	sed -n '/^uv==/,/[^\\]$$/p' $(LOCK) > $(VENV)/uv.txt
	command -v $(UV) > /dev/null || $(PIP) --require-hashes --requirement $(VENV)/uv.txt || true
	@echo "installing the pinned packages (minutes) ..."
	@$(UV) pip install --quiet --python $(BIN)/python $(COMPILE) --require-hashes --requirement $(LOCKED) \
	  || { echo "uv cannot install here (it does not read pip's settings); pip does, which takes longer"; \
	       $(PIP) --require-hashes --requirement $(LOCKED); }
	$(PIP) --no-deps --no-build-isolation --editable .
	touch $@

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: venv
	$(BIN)/mypy

contracts: venv
	$(BIN)/lint-imports

unit: venv
	$(PYTEST)

# Kills, power failures, full disks and two processes on one run, as often as SECURITY.md says; `unit` has a sample.
reliability: venv
	$(BIN)/python -m pytest -m 'reliability or not reliability' tests/reliability

# Every table of every paper, by the preset `paper` on small drawn copies in the original layouts.
papers: venv
	$(PYTEST) -m whole_paper tests/experiments

# Ten training steps of every study's networks, on TensorFlow and on JAX.
backends: venv
	$(BIN)/python -m pytest -m 'backends or not backends' tests/training/test_ten_steps.py

# Record again what tensorflow-addons' losses give; it needs Keras 2, so an environment of its own, Python 3.9 to 3.11.
ORACLE_PYTHON ?= python3.11
oracle:
	$(ORACLE_PYTHON) -m venv build/oracle
	build/oracle/bin/python -m pip install --quiet --disable-pip-version-check --requirement tests/oracles/requirements.txt
	build/oracle/bin/python tests/oracles/tensorflow_addons_losses.py tests/oracles/tensorflow_addons_losses.json
	git diff --stat tests/oracles

# This project beside PyTorch, ONNX Runtime, albumentations, pytorch-metric-learning and Flower, into a page of
# tests/benchmarks for the processor's kind.
# An environment of its own: PyTorch is large and nothing else needs it.
bench:
	test -x build/bench/bin/python || $(PYTHON) -m venv build/bench
	sed -n 's/^\([a-z0-9.-]*\)[^=]*\(==[^ ;]*\).*/\1\2/p' $(LOCK) > build/bench/pins.txt
	build/bench/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[bench,federated,onnx]' --constraint build/bench/pins.txt
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
