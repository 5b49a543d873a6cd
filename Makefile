# make serve | test | check | lint | lock: each does its own set-up on a fresh clone that has python3 and make.
PYTHON ?= python3
BIN := .venv/bin
PORT ?= 3000
HOST ?= 127.0.0.1
export TF_CPP_MIN_LOG_LEVEL ?= 2
# BentoML reports usage to its makers unless it is told not to.
export BENTOML_DO_NOT_TRACK ?= True

.PHONY: setup serve test soak lint check docs results model benchmarks lock bento bento-slim bento-gpu bento-sizes score-results clean
setup: .venv/.test

# uv installs from the lock in seconds; pip installs uv, by the version and hashes in the lock.
$(BIN)/uv: requirements.lock
	$(PYTHON) -m venv .venv
	sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > .venv/uv.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r .venv/uv.lock
	touch $@

# Either set of packages may be installed first; the serving lock is a subset of the other.
INSTALL = $(BIN)/uv pip install --quiet --python $(BIN)/python
.venv/.serve: requirements-serve.lock
.venv/.test: requirements.lock
.venv/.serve .venv/.test: $(BIN)/uv pyproject.toml
	$(INSTALL) --require-hashes -r $(filter %.lock,$^)
	$(INSTALL) --no-build-isolation --no-deps -e .
	touch $@

serve: .venv/.serve
	$(BIN)/bentoml serve service:Analyzer --host $(HOST) --port $(PORT)

test: setup
	$(BIN)/pytest

# The robustness proof in its long form, into results/bench/robustness.json and docs/robustness.md.
soak: setup
	$(BIN)/python -m tests.robustness.prove

PACKAGES := wbc training evaluation export benchmarks service.py tests
DOCUMENTS := README.md $(wildcard docs/*.md docs/decisions/*.md)
lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python .ci/docstrings.py $(PACKAGES)
	$(BIN)/mypy
	$(BIN)/cog --check --diff --verbosity=0 -U $(DOCUMENTS)

check: lint test

docs: setup
	$(BIN)/cog -r --verbosity=0 -U $(DOCUMENTS)
	$(BIN)/python -m wbc.reference_cli > docs/cli.md
	$(BIN)/python -m wbc.reference_settings > docs/settings.md

# Every number in README and model card, measured again with the images in WBC_DATA_ROOT.
results: setup
	$(BIN)/wbc evaluate --split Val --split TestA --split TestB-lisc --split TestB-bccd --split TestB-tecom \
		--testb-binary-mode main --ablation --write-bundle
	$(BIN)/python -m evaluation.readme
	$(BIN)/python -m evaluation.document

BACKBONE ?= ../shared/pretrained/densenet121-pbc.weights.h5

# Every number of docs/performance.md, measured again; BENCH takes further options.
BENCH ?=
benchmarks: setup
	$(BIN)/wbc bench all $(BENCH)

# The shipped model from the backbone BACKBONE: a frozen phase, from it a fine-tuned run for each of SEEDS, and their mean
# with SHARE of the weights that they began with. An hour and a half on two cores; each `wbc train` resumes with --resume.
SEEDS ?= 1 2 3
SHARE ?= 0.25
RUNS = $(SEEDS:%=runs/seed%)
model: setup
	$(BIN)/wbc train --weights $(BACKBONE) --phase2-epochs 0 --results-dir runs/frozen
	for seed in $(SEEDS); do $(BIN)/wbc train --weights runs/frozen/model.keras --phase1-epochs 0 --seed $$seed \
		--results-dir runs/seed$$seed || exit 1; done
	$(BIN)/wbc average $(RUNS) --start-share $(SHARE) --output runs/default
	$(BIN)/wbc export runs/default --output models/default --bundle-version 3 --tta auto
	$(BIN)/wbc quantize models/default

# Exact versions and hashes of everything, from the ranges in pyproject.toml; what a Bento needs is a part of it.
COMPILE := $(BIN)/uv pip compile pyproject.toml --generate-hashes --python-version 3.11 --no-emit-index-url --no-header \
	--no-annotate --no-strip-extras --quiet
lock: $(BIN)/uv
	$(COMPILE) --extra dev --upgrade -o requirements.lock
	$(COMPILE) --extra keras --constraint requirements.lock -o requirements-serve.lock
	sed -n 's/^onnxruntime-gpu\(==[^ ]*\).*/onnxruntime\1/p' requirements.lock | $(COMPILE) - --constraint requirements.lock \
		--no-emit-package onnxruntime-gpu -o requirements-serve-slim.lock
	echo 'onnxruntime-gpu[cuda,cudnn]' | $(COMPILE) - --constraint requirements.lock -o requirements-serve-gpu.lock

# What is shipped, into BENTOML_HOME. The variants without Keras are built without the service that needs it.
bento: setup
	$(BIN)/bentoml build

bento-slim bento-gpu: bento-%: setup
	WBC_GRADCAM=false $(BIN)/bentoml build -f bentofile.$*.yaml

# Sizes of the Bentos and of what they install, into results/bench/bento.json.
bento-sizes: setup
	$(BIN)/wbc bench bento

# Images a second of `wbc score`, of both engines with one and two workers, into results/bench/score.json.
IMAGES ?= ../shared/data/smears/TestA
score-results: setup
	rm -rf build/score
	for engine in local ray; do for workers in 1 2; do $(BIN)/wbc score $(IMAGES) --output build/score/$$engine-$$workers \
		--engine $$engine --workers $$workers --report results/bench/score.json || exit 1; done; done

clean:
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache
