# Two commands do all the set-up on a fresh machine: `make repro` and `make test`. They need Python 3.11 (later ones are not tried yet) and a C++ compiler.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
LOCK ?= requirements.lock# requirements-gpu.lock for an NVIDIA GPU
BASE ?= origin/main
BIN := .venv/bin
INSTALLED := .venv/$(LOCK).installed
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: pr-report repro studies test test-long lint typecheck format lock clean

repro: $(INSTALLED)  ## run the pipeline: every stage whose inputs changed
	dvc repro

studies: $(INSTALLED)  ## run the experiments of the thesis, at the scale that studies/params.yaml names
	dvc repro studies/dvc.yaml

test: $(INSTALLED)
	python -m pytest

test-long: $(INSTALLED)  ## thousands of mutated tables, JSON files and images, drawn anew
	python -m pytest --hypothesis-profile=long tests/sources/test_mutations.py

pr-report: $(INSTALLED)  ## what changed against BASE, as Markdown for a reviewer: make --silent pr-report BASE=origin/main
	@python -m lipnet.report_diff "$(BASE)"

lint: $(INSTALLED)
	ruff check .
	ruff format --check .

typecheck: $(INSTALLED)
	mypy

format: $(INSTALLED)
	ruff check --fix .
	ruff format .

$(INSTALLED): $(LOCK)
	$(PYTHON) -m venv .venv
	python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(LOCK)
	touch $@

# Both lock files anew from pyproject.toml; needs uv.
lock:
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --no-annotate --no-strip-extras --quiet --custom-compile-command "make lock" --output-file requirements.lock
	uv pip compile pyproject.toml --extra dev --extra gpu --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --no-annotate --no-strip-extras --quiet --custom-compile-command "make lock" --constraint requirements.lock --output-file requirements-gpu.lock

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache
