# Two commands: `make run` does the whole job on the embedded demo, `make test` checks everything.
PYTHON ?= python3.11
BIN := .venv/bin
CORES := $(shell nproc 2>/dev/null || echo 2)
export OMP_NUM_THREADS ?= $(CORES)
# Every step is a process: without bytecode each would compile all that it imports.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: install install-dev run test test-versions lint bench golden images test-cluster smoke-cluster clean

# `install` brings what the demo needs, `install-dev` adds oracles, browser, cluster and the tools that check the code.
install: .venv/.runs
install-dev: .venv/.installed
VENV = test -x $(BIN)/python || $(PYTHON) -m venv .venv
# --no-compile: of 24,000 modules a few thousand are ever imported, and compiled then
PIP = DS_BUILD_OPS=0 $(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt

.venv/.runs: pyproject.toml constraints.txt
	$(VENV)
	$(PIP) --editable '.[laptop]'
	touch $@

.venv/.installed: pyproject.toml constraints.txt
	$(VENV)
	$(PIP) --editable '.[laptop,openvino,onnx,oracle,documents,serve,tensorboard,deepspeed,qlora,operator,cluster,dev]'
	$(PIP) --no-deps kserve==0.21.0 # its models alone, which a test reads; its server wants psutil below 6
	touch .venv/.runs $@

run: install
	$(BIN)/distillery demo --out .demo
	$(BIN)/distillery distill sustainability-technology --articles .demo/articles.jsonl --marks reference \
	  --profile laptop --set oracle.replies=.demo/replies.jsonl \
	  --set training.learningRate=0.002

LINT := $(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports --config pyproject.toml
lint: install-dev
	$(LINT)

# Two tests a core, a thread each: many wait for a server or a process of their own. Types are checked beside them.
test: export OMP_NUM_THREADS = 1
test: install-dev
	@{ $(LINT); } > .lint.log 2>&1 & lint=$$!; \
	$(BIN)/pytest -n $$((2 * $(CORES))) --dist worksteal -m "not slow and not cluster"; tests=$$?; \
	wait $$lint; lint=$$?; cat .lint.log; exit $$((tests || lint))

# The pipelines and the laptop's run with the oldest and the newest kfp that pyproject.toml admits, laid over what is installed.
# The committed manifests say which kfp compiled them, so they are held to the pinned one alone.
test-versions: export OMP_NUM_THREADS = 1
test-versions: install-dev
	@set -e; for kfp in '==2.17.0' '<3'; do \
	  rm -rf .versions; $(BIN)/python -m pip install --quiet --no-compile --target .versions "kfp$$kfp" "kfp-kubernetes$$kfp"; \
	  PYTHONPATH=.versions $(BIN)/python -c 'from importlib.metadata import version; print("kfp", version("kfp"))'; \
	  PYTHONPATH=$(CURDIR)/.versions $(BIN)/pytest -n $$((2 * $(CORES))) -m "not slow and not cluster" \
	    --deselect tests/pipelines/test_versions.py::test_the_committed_objects_are_what_is_compiled tests/pipelines tests/manifests; \
	done; rm -rf .versions

bench: install-dev
	$(BIN)/pytest -s -m slow tests/benchmarks

# On a real Kubeflow: the cluster that KUBECONFIG and KFP_ENDPOINT name, else one started on this machine where CLUSTER is.
CLUSTER ?= ../shared/cluster/cluster
export CLUSTER
test-cluster: export TESTS = cluster
test-cluster: export PARTS = training gitops scale
test-cluster: export OVERLAY = kueue
test-cluster: export IMAGES = light torch operator serve
smoke-cluster: export TESTS = smoke
smoke-cluster: export OVERLAY = testbed
smoke-cluster: export IMAGES = light torch
test-cluster smoke-cluster: install-dev
	@set -e; if [ -n "$$KUBECONFIG" ]; then tests/cluster/run $$TESTS; \
	elif ! [ -x $(CLUSTER) ]; then echo "no cluster at hand: set KUBECONFIG and KFP_ENDPOINT, or CLUSTER; nothing was tested"; \
	else $(CLUSTER) up $$PARTS; CLUSTER=$(abspath $(CLUSTER)) $(BIN)/python images/build.py $$IMAGES; \
	  DISTILLERY_OVERLAY=manifests/overlays/$$OVERLAY KFP_UI=http://10.99.0.1:3000 OMP_NUM_THREADS=2 \
	    $(CLUSTER) run tests/cluster/run $$TESTS; fi

# All images, built and loaded into that cluster; what it has already is left alone.
images:
	$(PYTHON) images/build.py light torch operator serve

# The compiled pipelines under manifests/pipelines, which `make test` holds against the code.
golden: install-dev
	DISTILLERY_IMAGE_LIGHT= DISTILLERY_IMAGE_TORCH= $(BIN)/distillery pipelines compile --manifests --out manifests/pipelines

clean:
	rm -rf .venv .distillery .demo
