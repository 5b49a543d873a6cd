# Every target sets up .venv first; a fresh clone needs only python3 and make.
PYTHON ?= python3
BIN := .venv/bin
PORT ?= 3000
HOST ?= 127.0.0.1
export TF_CPP_MIN_LOG_LEVEL ?= 2
# BentoML sends usage statistics by default.
export BENTOML_DO_NOT_TRACK ?= True

.PHONY: setup serve test soak lint check docs results model ablation benchmarks lock bento bento-slim bento-gpu bento-sizes score-results clean
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

PACKAGES := benchmarks evaluation export service.py tests training wbc
DOCUMENTS := README.md $(wildcard docs/*.md docs/decisions/*.md)
lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/cog --check --diff --verbosity=0 -U -I . $(DOCUMENTS)
	$(BIN)/python .ci/docstrings.py $(PACKAGES)

check: lint test

docs: setup
	$(BIN)/cog -r --verbosity=0 -U -I . $(DOCUMENTS)

# Evaluate the shipped model on the images in WBC_DATA_ROOT; updates README and model card.
results: setup
	$(BIN)/wbc evaluate --split Val --split Val-chula --split TestA --split TestB-lisc --split TestB-tecom \
		--testb-binary-mode main --write-bundle
	$(BIN)/cog -r --verbosity=0 -U README.md docs/evaluation.md

# Run all benchmarks and update docs/performance.md; BENCH adds options.
BENCH ?=
benchmarks: setup
	$(BIN)/wbc bench all $(BENCH)

# Train three seeds on all sources, of which the one that is best on the validation splits ships, and three without each
# source, which give the corrections for other devices. An hour on two idle cores; a second call goes on where the first stopped.
all := Train Train-chula TestB-bccd
without-bccd := Train Train-chula
without-chula := Train TestB-bccd
without-pbc := Train-chula TestB-bccd
SETS := all without-bccd without-chula without-pbc
SHORT := --epoch-size 3200 --phase2-epochs 2
TRAIN = $(BIN)/wbc train --xai-sample-count 0 --no-tensorboard --results-dir $(@D) $(if $(wildcard $(@D)/checkpoint.npz),--resume)
SEEDS := 1 2 3

define SEED
runs/$(1)-$(2)/training.json: runs/$(1)-start/training.json
	$$(TRAIN) $$(addprefix --source ,$$($(1))) $$(LENGTH) --phase1-epochs 0 --weights runs/$(1)-start/model.keras --seed $(2)
endef
define SET
runs/$(1)-start/training.json: | setup
	$$(TRAIN) $$(addprefix --source ,$$($(1))) $$(LENGTH) --phase2-epochs 0
endef
$(foreach set,$(SETS),$(eval $(call SET,$(set))))
$(foreach set,$(SETS),$(foreach seed,$(SEEDS),$(eval $(call SEED,$(set),$(seed)))))
runs/all-%/training.json: LENGTH := --epoch-size 6400
runs/without-%/training.json: LENGTH := $(SHORT)

SEEDS_OF = $(foreach seed,$(SEEDS),$(1)-$(seed))
BEST := 2
runs/default/training.json: $(foreach set,$(SETS),$(foreach run,$(call SEEDS_OF,runs/$(set)),$(run)/training.json))
	$(BIN)/wbc cross-fit runs/all-$(BEST) --output runs/default \
		$(foreach run,$(call SEEDS_OF,runs/without-bccd),--left-out $(run) TestB-bccd) \
		$(foreach run,$(call SEEDS_OF,runs/without-chula),--left-out $(run) Train-chula) \
		$(foreach run,$(call SEEDS_OF,runs/without-pbc),--left-out $(run) Val)

model: runs/default/training.json
	cp runs/default/left_out.json results/left_out.json
	$(BIN)/wbc export runs/default --output models/default --name efficientnet-lite0-wbc --bundle-version 5
	$(BIN)/wbc quantize models/default

# Train short runs without one step each, and score them on the two sources that they left out; writes results/ablation.json.
ROWS := reference no-window no-white-balance pbc-alone lite0-frozen densenet121-frozen no-augmentation strong-stain
STEP_no-white-balance := --no-white-balance
STEP_no-window := --framing cell
STEP_no-augmentation := --augmentation none
STEP_strong-stain := --stain-strength 1.8
STEP_lite0-frozen := --phase2-epochs 0
STEP_densenet121-frozen := --phase2-epochs 0 --backbone densenet121 --weights ../shared/pretrained/densenet121-pbc.weights.h5
define ROW
runs/ablation/$(1)-bccd/training.json: | setup
	$$(TRAIN) $$(addprefix --source ,$(if $(filter pbc-alone,$(1)),Train,$(without-bccd))) $(SHORT) $(STEP_$(1))
runs/ablation/$(1)-chula/training.json: | setup
	$$(TRAIN) $$(addprefix --source ,$(if $(filter pbc-alone,$(1)),Train,$(without-chula))) $(SHORT) $(STEP_$(1))
endef
$(foreach row,$(ROWS),$(eval $(call ROW,$(row))))
ablation: $(foreach row,$(ROWS),runs/ablation/$(row)-bccd/training.json runs/ablation/$(row)-chula/training.json)
	$(BIN)/wbc left-out $(foreach row,$(ROWS),runs/ablation/$(row)-bccd TestB-bccd runs/ablation/$(row)-chula Train-chula) \
		--output results/ablation.json
	$(BIN)/wbc left-out runs/ablation/reference-bccd TestB-bccd runs/ablation/reference-chula Train-chula --tta light \
		--output results/ablation_views.json

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
