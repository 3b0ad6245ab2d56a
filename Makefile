# make demo: the main job on data that the program makes itself.
# make test: style, types, layers and tests.
# Both set up everything they need in .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test check fuzz clean

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@

demo: $(VENV)/installed
	rm -rf demo
	$(BIN)/cryoparts demo --output demo

check: $(VENV)/installed
	$(BIN)/ruff check src tests benchmarks examples
	$(BIN)/ruff format --check src tests benchmarks examples
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check
	$(BIN)/python -m pytest

# 10,000 mutated files a reader; `make test` reads 500 of each
fuzz: $(VENV)/installed
	CRYOPARTS_FUZZ=10000 $(BIN)/python -m pytest -s tests/fuzz

clean:
	rm -rf $(VENV) demo .mypy_cache .ruff_cache .pytest_cache .hypothesis
