# make demo: build Buildfile.examples/hello with no root, no registry and no daemon.
# make test: everything the tests need is set up, then they run (as root: Debian packages, and an ordinary user).

PYTHON ?= python3
VENV ?= .venv

.PHONY: demo test check lint types unit clean

demo: $(VENV)/.installed
	@PATH="$(abspath $(VENV))/bin:$$PATH" Buildfile.examples/demo

$(VENV)/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "pybuild needs Python 3.11 or later")'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check .
	@touch $@

test:
	@PYTHON="$(PYTHON)" tests/setup/run

# What `make test` runs once everything is in place; PYTHON is one that has the test dependencies.
check: lint types unit

lint:
	$(PYTHON) -m ruff check --no-cache .
	$(PYTHON) -m ruff format --no-cache --check .

types:
	$(PYTHON) -m mypy

unit:
	$(PYTHON) -m pytest --numprocesses=auto --dist=loadfile

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
