# Two commands do all the set-up on a fresh machine: `make repro` and `make test`. They need Python 3.11 (later ones are not tried yet) and a C++ compiler.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
LOCK ?= requirements.lock# requirements-gpu.lock for an NVIDIA GPU
BASE ?= origin/main
BIN := .venv/bin
INSTALLED := .venv/$(LOCK).installed
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: repro studies test verify pr-report test-long coverage mutation audit lint typecheck format lock clean

repro: $(INSTALLED)  ## run the pipeline: every stage whose inputs changed
	dvc repro

studies: $(INSTALLED)  ## run the experiments of the thesis, at the scale that studies/params.yaml names
	dvc repro studies/dvc.yaml

test: $(INSTALLED)
	python -m pytest

verify: $(INSTALLED)  ## run the pipeline from nothing in a fresh folder and compare every output with dvc.lock; WORKERS=1: one process
	python -m benchmarks.verify $(if $(WORKERS),--workers $(WORKERS))

pr-report: $(INSTALLED)  ## what differs from a base revision, for the reviewer of a pull request; BASE=origin/main
	@python .ci/pr_report.py $(BASE)

test-long: $(INSTALLED)  ## thousands of mutated tables, JSON files and images, drawn anew
	python -m pytest --hypothesis-profile=long tests/sources/test_mutations.py

# Combined afterwards, not by pytest-cov, which is done before the workers that joblib keeps have written what they ran.
coverage: $(INSTALLED)  ## the tests once more, with what they reach of lipnet/; fails below 95 % of lines and branches
	coverage erase
	coverage run -m pytest
	coverage combine --quiet
	coverage report

mutation: $(INSTALLED)  ## whether the tests notice changes of metrics, folds, balance and features; writes benchmarks/results
	python -m benchmarks.mutation

# In an environment of its own, as it would pin pip in ours. --strict: a package that the database does not answer for is an error.
audit: $(INSTALLED)  ## known vulnerabilities of what the lock file pins; asks an advisory database on the internet
	python -m venv .venv/audit
	.venv/audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit==2.10.1
	.venv/audit/bin/pip-audit --strict --disable-pip --no-deps --requirement $(LOCK)

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
	python -m pip install --quiet --disable-pip-version-check --no-index --no-build-isolation --no-deps --editable .
	touch $@

# Both lock files anew from pyproject.toml; needs uv.
lock:
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --no-annotate --no-strip-extras --quiet --custom-compile-command "make lock" --output-file requirements.lock
	uv pip compile pyproject.toml --extra dev --extra gpu --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --no-annotate --no-strip-extras --quiet --custom-compile-command "make lock" --constraint requirements.lock --output-file requirements-gpu.lock

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .coverage mutants
