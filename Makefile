# Every target sets up what it needs; a second setup costs a few milliseconds.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   := .venv
PY     := $(VENV)/bin/python
PIP    := $(VENV)/bin/pip --disable-pip-version-check -qq install --no-deps --require-hashes

.PHONY: setup setup-dev demo test run bench verify lock clean

setup: $(VENV)/.locked
setup-dev: $(VENV)/.locked-dev

$(VENV)/.locked: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; set PYTHON=/path/to/python3.11" if sys.version_info < (3, 11) else 0)'
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@$(PIP) -r requirements.txt
	@touch $@

$(VENV)/.locked-dev: $(VENV)/.locked requirements/dev.txt
	@$(PIP) -r requirements/dev.txt
	@touch $@

demo: setup
	@$(PY) -m demo

run: setup
	@$(PY) -m app serve

test: setup-dev
	@start=$$(date +%s) && $(PY) -m ruff check . && $(PY) -m ruff format --check . && $(PY) -m mypy && \
	$(PY) -m pytest -n 2 -m "not measures" --cov --cov-report= && .ci/coverage && $(PY) -m pytest -m measures && \
	.ci/pythons 3.12 3.13 && \
	echo "make test passed in $$(( $$(date +%s) - start )) s"

bench: setup-dev
	@$(PY) -m bench

verify: setup-dev
	@$(PY) -m proof

# The full locks, from the short lists of direct dependencies (uv is needed for this target only).
lock:
	uv pip compile requirements/direct.in --override requirements/overrides.txt --generate-hashes --python-version 3.11 --universal --no-header --no-emit-index-url -q -o requirements.txt
	uv pip compile requirements/dev.in --generate-hashes --python-version 3.11 --universal --no-header --no-emit-index-url -q -o requirements/dev.txt

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .coverage data
