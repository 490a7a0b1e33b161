VENV := .venv
PYTHON := $(VENV)/bin/python
READY := $(VENV)/.ready
STARTED := $(shell date +%s)

unexport PYTHONDONTWRITEBYTECODE
export UV_SYSTEM_CERTS := 1

.DEFAULT_GOAL := help
.PHONY: help demo test bench docs lint format types tables conformance constraints clean

help: ## Say what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(READY) ## Watch a real Airflow run portal tasks against the sandbox
	@$(PYTHON) -m scripts.demo --since $(STARTED)

test: $(READY) ## Run all tests and report coverage
	$(PYTHON) -m coverage run -m pytest
	$(PYTHON) -m coverage report

bench: $(READY) ## Measure, side by side with what users have today
	$(PYTHON) benchmarks/run.py

docs: $(READY) ## Build the documentation into build/docs
	$(PYTHON) -m sphinx -W --keep-going -b html docs build/docs

lint: $(READY) ## Check style and format
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .

format: $(READY) ## Mend style and format
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

types: $(READY) ## Check types, strictly
	$(PYTHON) -m mypy

tables: $(READY) ## Write the measured tables of the documentation anew
	WRITE_TABLES=1 $(PYTHON) -m pytest -q tests/transport/test_fault_matrix.py tests/test_differences.py

conformance: $(READY) ## Compare with the official client, against the sandbox
	conformance/run.sh

constraints: $(READY) ## Write constraints.txt anew, with the newest versions that go together
	scripts/constraints.sh

clean: ## Remove what was built and installed
	rm -rf $(VENV) .conformance-venv .bench build dist .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache

$(READY): pyproject.toml constraints.txt scripts/setup.sh
	@scripts/setup.sh
