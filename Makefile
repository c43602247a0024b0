## Each target does its own set-up in .venv and is safe to repeat.
##   make demo     demo-generator, then demo-loop
##   make demo-generator  workflows by the bundled generator, one for each task, beside the hand-written one
##   make demo-loop  the main job on the embedded model: write, run, score and improve workflows
##   make test     all tests
##   make lint     ruff, mypy and the import contracts
##   make docs     the documentation as a site, in build/site
##   make adapter  trains the embedded generator that is shipped (about 90 minutes on 2 cores)
##   make train-env  adds what training needs; the tests of training then run too
##   make test-train  these tests alone
##   make coverage fails under 90 % branch coverage of the parts that everything stands on
## Another Python: make PYTHON=python3.12 test

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# Options for pytest: make test ARGS="-k lint -x"
ARGS ?=

DEMO_RUN ?= runs/demo
DEMO_MODEL ?= embedded/smollm2-135m
DEMO_FLAGS ?= --rounds 1 --candidates 2 --train-limit 7 --option repairs=1 --option max_steps=5 --max-tokens 96 --no-references --seed 0

.DEFAULT_GOAL := help
.PHONY: help demo demo-generator demo-loop test lint docs coverage clean fresh-check weights train-env test-train adapter
.DELETE_ON_ERROR:

help:
	@sed -n 's/^## \{0,1\}//p' Makefile

# The stamp, not the interpreter, is the target: an interrupted creation is then begun again.
$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit("autoflow needs Python 3.11 or newer; name one: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/.embedded: pyproject.toml $(VENV)/.created
	$(PIP) --editable '.[embedded]'
	@touch $@

$(VENV)/.dev: pyproject.toml $(VENV)/.created
	$(PIP) --editable '.[dev]'
	@touch $@ $(VENV)/.embedded

$(VENV)/.docs: pyproject.toml $(VENV)/.created
	$(PIP) --editable '.[docs]'
	@touch $@

# Torch first and alone: together with the rest, gigabytes of GPU packages follow. Where the pinned build is not to be
# had, whatever torch is there or offered will do; the extra says how old it may be.
TORCH ?= 2.13.0

$(VENV)/.train: pyproject.toml $(VENV)/.dev
	$(PIP) torch==$(TORCH) || $(BIN)/python -c 'import torch' || $(PIP) torch
	$(PIP) --editable '.[dev,train]'
	@touch $@

train-env: $(VENV)/.train

test-train: $(VENV)/.train weights
	@$(BIN)/python -m pytest -n auto --dist loadgroup tests/training tests/models tests/synthesis $(ARGS)

# Each step is done once; interrupted training goes on where it was.
ADAPTER := runs/adapter
MADE_UP := --tasks 8 --decisions 8 --avoid openagi
NONE_HELD_OUT := --validation-domains 0 --test-domains 0

$(ADAPTER)/domains/README.md: | $(VENV)/.train
	$(BIN)/autoflow synthesize $(@D) --domains 1200 --decision-domains 160 $(MADE_UP) --seed 1

$(ADAPTER)/more/README.md: | $(VENV)/.train
	$(BIN)/autoflow synthesize $(@D) --domains 200 $(NONE_HELD_OUT) --decision-domains 30 $(MADE_UP) --seed 2

$(ADAPTER)/practice/README.md: | $(VENV)/.train
	$(BIN)/autoflow synthesize $(@D) --domains 0 $(NONE_HELD_OUT) --practice openagi --tasks 400 --seed 1

$(ADAPTER)/last/README.md: | $(VENV)/.train
	$(BIN)/autoflow synthesize $(@D) --domains 36 $(NONE_HELD_OUT) --decision-domains 4 $(MADE_UP) --seed 3

$(ADAPTER)/worded/README.md: | $(VENV)/.train
	$(BIN)/autoflow synthesize $(@D) --domains 0 $(NONE_HELD_OUT) --worded openagi --practice openagi --tasks 120 --seed 3

$(ADAPTER)/signed/README.md: | $(VENV)/.train
	$(BIN)/autoflow synthesize $(@D) --domains 400 $(NONE_HELD_OUT) --decision-domains 36 $(MADE_UP) --seed 4 \
	  --signatures --repair-share 0.25 --pair-share 0.5

$(ADAPTER)/signed-practice/README.md: | $(VENV)/.train
	$(BIN)/autoflow synthesize $(@D) --domains 0 $(NONE_HELD_OUT) --worded openagi --practice openagi --tasks 280 --seed 4 \
	  --signatures

adapter: $(VENV)/.train weights \
  $(patsubst %,$(ADAPTER)/%/README.md,domains more practice last worded signed signed-practice)
	$(BIN)/autoflow train sft adapters/autoflow-135m/first.yaml --run $(ADAPTER)/first
	$(BIN)/autoflow train sft adapters/autoflow-135m/second.yaml --run $(ADAPTER)/second
	$(BIN)/autoflow train sft adapters/autoflow-135m/third.yaml --run $(ADAPTER)/third
	$(BIN)/autoflow train sft adapters/autoflow-135m/fourth.yaml --run $(ADAPTER)/fourth
	rm -rf $(ADAPTER)/packed
	$(BIN)/autoflow adapters pack $(ADAPTER)/fourth/adapter $(ADAPTER)/packed
	cp $(ADAPTER)/packed/* adapters/autoflow-135m/

weights: $(VENV)/.embedded
	@$(BIN)/autoflow doctor --fetch embedded

demo: demo-generator
	@$(MAKE) --no-print-directory demo-loop

demo-generator: weights
	$(BIN)/autoflow bench openagi --workflow workflows/openagi/manual.yaml --generator embedded/autoflow-135m \
	  --interpreter $(DEMO_MODEL) --max-tokens 96 --seed 0

demo-loop: weights
	$(BIN)/autoflow improve openagi --strategy in-context \
	  --generator $(DEMO_MODEL) --interpreter $(DEMO_MODEL) $(DEMO_FLAGS) --run $(DEMO_RUN)

test: $(VENV)/.dev weights
	@$(BIN)/python -m pytest -n auto --dist loadgroup $(ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict
	$(BIN)/lint-imports

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict --config-file docs/site/mkdocs.yml
	@echo 'open build/site/index.html, or: $(BIN)/mkdocs serve --config-file docs/site/mkdocs.yml'

coverage: $(VENV)/.dev weights
	$(BIN)/python -m pytest -n auto --dist loadgroup -q --cov=autoflow --cov-branch --cov-report= $(ARGS)
	$(BIN)/python -m coverage report --fail-under=90 \
	  --include='autoflow/core/*,autoflow/language/*,autoflow/interpreter/*,autoflow/objective/*'

# What a newcomer gets: a clone elsewhere, with nothing of this checkout but what is committed.
fresh-check:
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	  git clone --quiet . "$$folder/autoflow" && \
	  $(MAKE) -C "$$folder/autoflow" demo test PYTHON="$(PYTHON)"

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
