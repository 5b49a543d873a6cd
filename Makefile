# make serve | test | check | lint | lock: each does its own set-up on a fresh clone that has python3 and make.
PYTHON ?= python3
BIN := .venv/bin
PORT ?= 3000
HOST ?= 127.0.0.1
export TF_CPP_MIN_LOG_LEVEL ?= 2
# BentoML reports usage to its makers unless it is told not to.
export BENTOML_DO_NOT_TRACK ?= True

.PHONY: setup serve test lint check docs results filter-comparison lock clean
setup: .venv/.installed

.venv/.installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	touch $@

serve: setup
	$(BIN)/bentoml serve service:Analyzer --host $(HOST) --port $(PORT)

test: setup
	$(BIN)/pytest

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check: lint test

docs: setup
	$(BIN)/python -m wbc.reference_cli > docs/cli.md

# Every number in README and model card, measured again with the images in WBC_DATA_ROOT.
results: setup
	$(BIN)/wbc evaluate --split Val --split TestA --split TestB-lisc --split TestB-bccd --split TestB-tecom --write-bundle
	$(BIN)/python -m training.evaluation.readme
	$(BIN)/python -m training.evaluation.document

# The filters v1 and none under one protocol: the head alone is trained, on the frozen backbone BACKBONE.
BACKBONE ?= ../shared/pretrained/densenet121-pbc.weights.h5
filter-comparison: setup
	for variant in none v1; do $(BIN)/wbc train --weights $(BACKBONE) --preprocessing $$variant --img-size 112 \
		--phase1-epochs 2 --phase2-epochs 0 --xai-sample-count 0 --ema 0 --results-dir runs/filter-$$variant || exit 1; done
	$(BIN)/python -m training.filter_comparison_cli runs/filter-none runs/filter-v1 \
		--output docs/results/filter_comparison.json

# Exact versions and hashes of everything, from the ranges in pyproject.toml; what a Bento needs is a part of it.
COMPILE := $(BIN)/uv pip compile pyproject.toml --generate-hashes --python-version 3.11 --no-emit-index-url --no-header \
	--no-annotate --quiet
lock: setup
	$(COMPILE) --extra dev --upgrade -o requirements.lock
	$(COMPILE) --extra keras --constraint requirements.lock -o requirements-serve.lock

clean:
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache
