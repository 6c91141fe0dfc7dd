# make run    environment, install, the shapes task with the paper's headline setting on 5 seeds
# make test   environment, install, lint, types, all tests
# make docs   environment, install, the documentation site in site/, warnings as errors
# make torture  environment, install, 100 SIGKILLs at random instants of runs of all kinds
# make bench  environment, install, the speed and memory figures under benchmarks/results/

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
OUT ?= runs/shapes-$(shell date +%Y%m%d-%H%M%S)

.PHONY: run test lint docs torture bench clean help

help:
	@sed -n 's/^# //p' Makefile

run: $(VENV)/.installed-run
	$(BIN)/wrlso run shapes --method weighted_retraining --k 1e-3 --retrain-every 50 \
	  --budget 500 --seeds 5 --proposer grid --out $(OUT)

## A file's tests stay in one process: they share what is trained and compiled. One that dies ends
## the suite and is named: pytest-xdist can wait for its replacement for ever.
test: lint
	$(BIN)/python -m pytest -n 2 --dist loadfile --max-worker-restart 0

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

torture: $(VENV)/.installed-test
	$(BIN)/python -m tests.torture --kills 100 --seed 0

bench: $(VENV)/.installed-bench
	$(BIN)/python -m pytest -m slow
	JAX_ENABLE_X64=1 $(BIN)/python -m pytest tests/test_parallel.py tests/tasks tests/runs/test_resume.py tests/runs/test_evaluate.py
	$(BIN)/python -m benchmarks.speed
	$(BIN)/python -m benchmarks.speed.overhead
	$(BIN)/python -m benchmarks.speed.memory
	$(BIN)/python -m benchmarks.speed.step
	$(BIN)/python -m benchmarks.speed.gp
	$(BIN)/python -m benchmarks.speed.molecule_loop
	$(BIN)/python -m benchmarks.speed.molecule_rates

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed-run: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet -e '.[plots]'
	@touch $@

$(VENV)/.installed-test: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet -e '.[test,lint,plots]'
	@touch $@

$(VENV)/.installed-docs: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet -e '.[docs]'
	@touch $@

$(VENV)/.installed-bench: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet -e '.[test,plots,benchmarks]'
	@touch $@

clean:
	rm -rf $(VENV) build site *.egg-info
