# The two commands: `make run` shows what pagoda does, `make test` proves it. Each sets up what it needs.

BIN := .venv/bin

.PHONY: run test generate setup lint bench clean moved
.DEFAULT_GOAL := run

# `make run PORT=8001` where 8000 is taken; `make run MODEL=...`: a path, a hub id, a name of `pagoda list --all`, builtin.
run: .venv/.runtime
	@$(BIN)/pagoda serve --pull $(if $(MODEL),"$(MODEL)") $(if $(PORT),--port $(PORT))

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
	$(BIN)/ruff format --check pagoda tests benchmarks bootstrap.py
	$(BIN)/ruff check pagoda tests benchmarks bootstrap.py
	$(BIN)/mypy
	MYPYPATH=benchmarks $(BIN)/mypy -p crosswoz -p rivals

bench: .venv/.dev
	$(BIN)/python benchmarks/headline.py

setup: .venv/.runtime

# The first of these that torch has builds for; where there is none, `bootstrap.py` says so.
CANDIDATES := python3 python3.14 python3.13 python3.12 python3.11
FITS := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))
PYTHON ?= $(shell for each in $(CANDIDATES); do $$each -c '$(FITS)' 2> /dev/null && echo $$each && exit; done; echo python3)
# An environment that was moved with its clone does not run.
MOVED := $(shell if test -e .venv/.place && test "$$(cat .venv/.place)" != "$$(pwd -P)"; then echo moved; fi)

# The kernels in C++ are built while the environment is set up.
SOURCES := $(wildcard csrc/*.cpp csrc/*.h csrc/*.inl csrc/isa/*) csrc/CMakeLists.txt

.venv/.runtime: pyproject.toml bootstrap.py $(SOURCES) $(MOVED)
	@$(PYTHON) bootstrap.py server
	@touch $@

.venv/.dev: .venv/.runtime
	@$(PYTHON) bootstrap.py dev
	@touch $@

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis
