# `make repro` and `make test` do all the set-up on a fresh machine. They need Python 3.11 to 3.13, git and a C++ compiler.
# The first that runs: a version manager may leave commands of versions that are not switched on.
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3; do $$name -c "" 2>/dev/null && echo $$name && break; done)
LOCK ?= requirements.lock# requirements-gpu.lock for an NVIDIA GPU
BASE ?= origin/main
BIN := .venv/bin
INSTALLED := .venv/$(LOCK).installed
PAGE := lipnet/deployment/templates/page
# With the packages for a GPU, `make repro` and `make studies` look for one that works.
GPU := $(if $(filter requirements-gpu.lock,$(LOCK)),$(shell nvidia-smi --list-gpus >/dev/null 2>&1 && echo found || echo missing))
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: repro studies figures no-gpu test verify verify-reduced clean-lock pack-trials pr-report experiments page-libraries test-long coverage mutation audit lint typecheck format lock clean

ifeq ($(GPU)$(filter-out jax,$(KERAS_BACKEND)),found)
repro studies: export KERAS_BACKEND := jax
repro studies: .venv/engine
else ifeq ($(GPU),missing)
repro studies: no-gpu
endif

repro: $(INSTALLED)  ## run the pipeline: every stage whose inputs changed
	dvc repro

studies: $(INSTALLED)  ## run the experiments of the thesis, at the scale that studies/params.yaml names, and judge its claims
	dvc repro studies/dvc.yaml:claims
	python -m benchmarks.thesis_table

figures: $(INSTALLED)  ## draw kernels and activations of the networks of `make repro`
	dvc repro studies/dvc.yaml

# Once: the setting stands in params.yaml, so that dvc.lock records it, and a setting that you change back stays.
.venv/engine: | $(INSTALLED)
	sed -i 's/^  engine: processes /  engine: vectorised/' params.yaml
	@echo "A GPU was found. In params.yaml, train_cnn.engine is now vectorised: Keras on JAX trains all folds at once on it."
	@echo "Before you call dvc yourself: export KERAS_BACKEND=jax"
	@touch $@

no-gpu:
	@echo "nvidia-smi finds no GPU: training runs on the processor."

# Two workers, a file at a time: tests of one file share costly fixtures. More workers would each load TensorFlow (1 GB).
test: $(INSTALLED)
	python -m pytest -n 2 --dist loadfile

verify: $(INSTALLED)  ## run the whole pipeline in a fresh folder and compare every output with dvc.lock; WORKERS=1: one process
	python -m benchmarks.verify $(if $(WORKERS),--workers $(WORKERS))

verify-reduced: $(INSTALLED)  ## run the pipeline on few particles and compare every output with benchmarks/reduced.csv, from any AVX2 processor
	python -m benchmarks.reduced

clean-lock: $(INSTALLED)  ## remove problems from dvc.lock that params.yaml no longer names
	python -m benchmarks.clean_lock

pack-trials: $(INSTALLED)  ## pack the trained folds behind the reports of studies/, for git: other machines then train none of them
	python -m benchmarks.pack_trials

pr-report: $(INSTALLED)  ## is it better than a base revision? for reviewers of a pull request; BASE=origin/main
	@python .ci/pr_report.py $(BASE)

experiments: $(INSTALLED)  ## all experiments in one table: model, recipe, scores of the network, parameters that vary
	@python .ci/experiments.py

page-libraries: build/page/libraries.js  ## what `lipnet export --page` puts into a page, from pinned npm packages; needs Node and npm

build/page/libraries.js: $(addprefix $(PAGE)/,package.json package-lock.json libraries.mjs build.mjs)
	mkdir -p $(@D)
	cp $^ $(@D)
	cd $(@D) && npm ci --ignore-scripts --no-audit --no-fund && npm run build && rm -r node_modules

test-long: $(INSTALLED)  ## thousands of mutated tables, JSON files, images and masks, drawn again in every run
	python -m pytest --hypothesis-profile=long tests/sources/test_mutations.py tests/sources/test_mutated_tables.py \
		tests/sources/formats/test_mutated_files.py

# Not with pytest-cov: it combines the data before the workers that joblib keeps alive have written theirs.
coverage: $(INSTALLED)  ## run the tests with branch coverage of lipnet/; fails below 95 % of lines and branches
	coverage erase
	coverage run -m pytest
	coverage combine --quiet
	coverage report

mutation: $(INSTALLED)  ## mutation tests of metrics, folds, balance and features; writes benchmarks/results
	python -m benchmarks.mutation

# In a separate environment, because it would pin pip in ours. --strict: a package that is not in the database is an error.
audit: $(INSTALLED)  ## known vulnerabilities of the locked packages; queries an advisory database on the internet
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

# Writes both lock files again from pyproject.toml; needs uv.
lock:
	uv pip compile pyproject.toml --extra dev --universal --fork-strategy fewest --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --no-annotate --no-strip-extras --quiet --custom-compile-command "make lock" --output-file requirements.lock
	uv pip compile pyproject.toml --extra dev --extra gpu --universal --fork-strategy fewest --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --no-annotate --no-strip-extras --quiet --custom-compile-command "make lock" --constraint requirements.lock --output-file requirements-gpu.lock

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .coverage mutants build/page
