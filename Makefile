# The two commands: `make run` shows what pagoda does, `make test` proves it. Each sets up what it needs.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test generate setup lint bench clean
.DEFAULT_GOAL := run

run: .venv/.runtime
	$(BIN)/pagoda serve

generate: .venv/.runtime
	$(BIN)/pagoda generate --echo --temperature 0.7 --top-p 0.9 --seed 7 --max-tokens 96 \
		"Once upon a time, there was a little fox" \
		"The old king looked out of the window and" \
		"One day, Lily found a small box in the garden" \
		"春风" \
		"明月"

# One thread each: two workers, and the servers they start, share the cores; more threads would wait for one another.
test: .venv/.dev lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

lint: .venv/.dev
	$(BIN)/ruff format --check pagoda tests benchmarks
	$(BIN)/ruff check pagoda tests benchmarks
	$(BIN)/mypy
	MYPYPATH=benchmarks $(BIN)/mypy -p crosswoz

bench: .venv/.dev
	$(BIN)/python benchmarks/headline.py

setup: .venv/.runtime

.venv/.runtime: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "pagoda needs Python 3.11 or newer, this is " + sys.version.split()[0] + ": make PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[server]'
	@touch $@

.venv/.dev: .venv/.runtime
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis
