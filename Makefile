# The two commands of the README (`make course`, `make test`) and what they stand on.
PYTHON ?= python3
BIN := .venv/bin
OLDEST := .venv/oldest
PROFILE ?= quick
# Threads that wait by spinning slow torch down tenfold where another process wants a core too.
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: setup course test oldest figures lint notebooks address

setup: .venv/.installed

# The environment is made once, and again when the tested set changes.
.venv/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "histolib needs Python 3.11 or newer, found " + sys.version.split()[0] + "; name another with PYTHON=...")'
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv || { echo "could not make .venv: on Debian and Ubuntu, install python3-venv" >&2; rm -rf .venv; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,wsi]'
	@$(BIN)/python -c 'import torchvision; torchvision.ops.nms'
	@touch $@

course: setup  ## execute the five notebooks, write runs/ and figures/
	$(BIN)/histolib run --profile $(PROFILE)

test: setup  ## run the tests in two processes; a file of tests stays in one
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

oldest: setup  ## the tests with the oldest packages that pyproject.toml allows, on Python 3.11 (another 3 GB)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv venv --quiet --clear --python 3.11 $(OLDEST)
	$(BIN)/uv pip install --quiet --python $(OLDEST)/bin/python --resolution lowest-direct --editable '.[dev,wsi]' 'pip>=24'
	$(OLDEST)/bin/python -m pytest --numprocesses 2 --dist loadfile --ignore tests/browser

figures: course  ## the same: every run collects its figures with manifest and contact sheet

lint: setup  ## style, types, and the import contract
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

notebooks: setup  ## execute the notebooks on the quick profile and write them back, to be committed
	env -u HISTOLIB_REAL_DATA $(BIN)/histolib run --profile quick
	$(BIN)/python .ci/write_back.py runs/quick

address: setup  ## put the account that hosts the repository into badges, clone commands and notebooks: make address OWNER=name
	@test -n "$(OWNER)" || { echo "name the account that hosts the repository: make address OWNER=name" >&2; exit 2; }
	$(BIN)/python .ci/address.py $(OWNER)
