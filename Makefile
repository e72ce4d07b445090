# Every target does its own set-up: a virtual environment in .venv with the locked dependencies.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.locked

# Compiled modules are kept, also where the environment says not to: the tests and the demo start hundreds of processes,
# and each would compile all of Holdfast again.
export PYTHONDONTWRITEBYTECODE =

.PHONY: demo test test-long test-seam test-postgres bench bench-peers lint lock setup clean

setup: $(STAMP)

$(STAMP): requirements/dev.txt requirements/uv.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements/dev.txt requirements/uv.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

demo: setup  ## run the main job on the embedded PostgreSQL: kill a worker, carry on, approve, verify
	$(BIN)/holdfast demo

test: setup  ## everything that must be green before a change lands
	$(BIN)/python -m pytest -m "not long" -n 3 --dist worksteal $(ARGS)

test-long: setup  ## the long campaigns: random kills, kills from ask to effect, 50,000 simulation seeds
	$(BIN)/python -m pytest -m long -s --timeout 7200 $(ARGS)

test-seam: setup  ## the seam's contract suite on another Pydantic AI: make test-seam PYDANTIC_AI=2.68.0
	@test -n "$(PYDANTIC_AI)" || { echo "Say which version: make test-seam PYDANTIC_AI=2.68.0"; exit 2; }
	$(BIN)/uv venv --quiet --allow-existing .venv-seam
	$(BIN)/uv pip sync --quiet --python .venv-seam/bin/python --require-hashes requirements/dev.txt
	$(BIN)/uv pip install --quiet --python .venv-seam/bin/python --no-deps --no-build-isolation --editable .
	$(BIN)/uv pip install --quiet --python .venv-seam/bin/python "pydantic-ai-slim[openai,mcp]==$(PYDANTIC_AI)"
	@.venv-seam/bin/python -c "import pydantic_ai; print('Pydantic AI', pydantic_ai.__version__)"
	.venv-seam/bin/python -m pytest tests/engine $(ARGS)

test-postgres: setup  ## the store's suites on another PostgreSQL: make test-postgres BIN_DIR=/usr/lib/postgresql/17/bin
	@test -x "$(BIN_DIR)/initdb" || { echo "Say where its programs are: make test-postgres BIN_DIR=/usr/lib/postgresql/17/bin"; exit 2; }
	@$(BIN_DIR)/postgres --version
	HOLDFAST_TESTS_POSTGRES=$(BIN_DIR) $(BIN)/python -m pytest -m "not long" -n 3 --dist worksteal tests/contract tests/isolation tests/simulation $(ARGS)

bench: setup  ## the cost table of the design, as ratios in one run; writes bench/results.json
	$(BIN)/python -m bench $(ARGS)

bench-peers: setup  ## the same workload on other engines, in an environment of their own
	$(BIN)/python -m bench.peers $(ARGS)

lint: setup  ## format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports

lock: setup  ## resolve again and write the hash-locked requirements
	sh requirements/lock.sh $(BIN)/uv

clean:
	rm -rf $(VENV) .holdfast .pytest_cache .ruff_cache
