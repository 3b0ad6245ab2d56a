# make demo: the main job on data that the program makes itself.
# make test: style, types, layers, documentation and tests.
# make docs: the documentation as a site, in build/site; a warning is an error.
# Both set up everything they need in .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test check docs fuzz clean

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test,docs,movies]'
	# another program's reader, to compare with; of pyarrow, which it names, it imports nothing
	$(BIN)/python -m pip install --quiet --no-deps 'starfile>=0.5.10,<0.6'
	touch $@

demo: $(VENV)/installed
	rm -rf demo
	$(BIN)/cryoparts demo --output demo

check: $(VENV)/installed
	$(BIN)/ruff check src tests benchmarks examples docs
	$(BIN)/ruff format --check src tests benchmarks examples docs
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict

# two files at once: many a test waits for a program or a browser
test: check docs
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

# 10,000 mutated files a reader, 20 kills a verb; `make test` has 500, and 2 kills in all
fuzz: $(VENV)/installed
	CRYOPARTS_FUZZ=10000 CRYOPARTS_KILLS=20 $(BIN)/python -m pytest -s tests/fuzz

clean:
	rm -rf $(VENV) demo build .mypy_cache .ruff_cache .pytest_cache .hypothesis
