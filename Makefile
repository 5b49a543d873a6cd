# Every target sets up .venv first; a fresh clone needs only python3 and make.
PYTHON ?= python3
BIN := .venv/bin
PORT ?= 3000
HOST ?= 127.0.0.1
export TF_CPP_MIN_LOG_LEVEL ?= 2
# BentoML sends usage statistics by default.
export BENTOML_DO_NOT_TRACK ?= True

.PHONY: setup serve test soak lint check docs results model benchmarks lock bento bento-slim bento-gpu bento-sizes score-results clean
setup: .venv/.test

# pip installs uv with the version and hashes in the lock file; uv installs everything else.
$(BIN)/uv: requirements.lock
	$(PYTHON) -m venv .venv
	sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > .venv/uv.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r .venv/uv.lock
	touch $@

# Both sets of packages share .venv: the serving lock is a subset of the other.
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

# Long form of the robustness tests; writes results/bench/robustness.json and docs/robustness.md.
soak: setup
	$(BIN)/python -m tests.robustness.prove

# Not yet rewritten, so not checked: evaluation, export, and foreground and pipeline in wbc/preprocessing.
PACKAGES := benchmarks service.py tests training \
	$(filter-out %/foreground.py %/pipeline.py,$(wildcard wbc/*.py wbc/*/*.py))
DOCUMENTS := README.md $(wildcard docs/*.md docs/decisions/*.md)
lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/cog --check --diff --verbosity=0 -U $(DOCUMENTS)
	$(BIN)/python .ci/docstrings.py $(PACKAGES)

check: lint test

docs: setup
	$(BIN)/cog -r --verbosity=0 -U $(DOCUMENTS)
	$(BIN)/python -m wbc.reference_cli > docs/cli.md
	$(BIN)/python -m wbc.reference_settings > docs/settings.md

# Evaluate the shipped model on the images in WBC_DATA_ROOT; updates README and model card.
results: setup
	$(BIN)/wbc evaluate --split Val --split Val-chula --split TestA --split TestB-lisc --split TestB-tecom \
		--testb-binary-mode main --write-bundle
	$(BIN)/python -m evaluation.readme
	$(BIN)/python -m evaluation.document

# Run all benchmarks and update docs/performance.md; BENCH adds options.
BENCH ?=
benchmarks: setup
	$(BIN)/wbc bench all $(BENCH)

# Train the shipped model on all sources, and a run for each source left out, which its class biases and its temperature for
# other devices come from. 30 minutes on two idle cores; `wbc train --resume` resumes.
PBC := --source Train
CHULA := --source Train-chula
BCCD := --source TestB-bccd
TRAIN := $(BIN)/wbc train --xai-sample-count 0
model: setup
	$(TRAIN) $(PBC) $(CHULA) $(BCCD) --epoch-size 6400 --results-dir runs/all
	$(TRAIN) $(PBC) $(CHULA) --epoch-size 3200 --phase2-epochs 2 --results-dir runs/without-bccd
	$(TRAIN) $(PBC) $(BCCD) --epoch-size 3200 --phase2-epochs 2 --results-dir runs/without-chula
	$(TRAIN) $(CHULA) $(BCCD) --epoch-size 3200 --phase2-epochs 2 --results-dir runs/without-pbc
	$(BIN)/wbc cross-fit runs/all --left-out runs/without-bccd TestB-bccd --left-out runs/without-chula Train-chula \
		--left-out runs/without-pbc Val --output runs/default
	cp runs/default/left_out.json results/left_out.json
	$(BIN)/wbc export runs/default --output models/default --name efficientnet-lite0-wbc --bundle-version 4
	$(BIN)/wbc quantize models/default

# Resolve the ranges in pyproject.toml to versions and hashes; the Bentos' locks are subsets. UPGRADE=--upgrade updates versions.
COMPILE := $(BIN)/uv pip compile pyproject.toml --generate-hashes --python-version 3.11 --no-emit-index-url --no-header \
	--no-annotate --no-strip-extras --quiet
lock: $(BIN)/uv
	$(COMPILE) --extra dev $(UPGRADE) -o requirements.lock
	$(COMPILE) --extra keras --constraint requirements.lock -o requirements-serve.lock
	sed -n 's/^onnxruntime-gpu\(==[^ ]*\).*/onnxruntime\1/p' requirements.lock | $(COMPILE) - --constraint requirements.lock \
		--no-emit-package onnxruntime-gpu -o requirements-serve-slim.lock
	echo 'onnxruntime-gpu[cuda,cudnn]' | $(COMPILE) - --constraint requirements.lock -o requirements-serve-gpu.lock

# Build the Bentos in BENTOML_HOME. The slim and GPU variants lack the Keras service.
bento: setup
	$(BIN)/bentoml build

bento-slim bento-gpu: bento-%: setup
	WBC_GRADCAM=false $(BIN)/bentoml build -f bentofile.$*.yaml

# Measure the sizes of the Bentos; writes results/bench/bento.json and the table of docs/operations.md.
bento-sizes: setup
	$(BIN)/wbc bench bento
	$(BIN)/cog -r --verbosity=0 -U docs/operations.md

# Measure the throughput of `wbc score` with both engines; writes results/bench/score.json and the table of docs/scoring.md.
IMAGES ?= ../shared/data/smears/TestA
score-results: setup
	rm -rf build/score
	for engine in local ray; do for workers in 1 2; do $(BIN)/wbc score $(IMAGES) --output build/score/$$engine-$$workers \
		--engine $$engine --workers $$workers --report results/bench/score.json || exit 1; done; done
	$(BIN)/cog -r --verbosity=0 -U docs/scoring.md

clean:
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache
