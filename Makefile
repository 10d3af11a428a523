# Needs Python (3.10 or later), make and a package registry. uv is used where it is on PATH, else venv and pip.
#
#   PYTHON=python3.13 make test     another interpreter (delete .venv first if it holds an older one)
#   PYTEST_ARGS="-k policy" make test

PYTHON ?= python3
PYTEST_WORKERS ?= auto
PYTEST_ARGS ?=
SPHINX_ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python

# pip reads dependency groups from 25.1 on; what venv installs is whatever came with the interpreter.
ifneq ($(shell command -v uv 2>/dev/null),)
CREATE = uv venv --quiet --allow-existing --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" $(VENV)
INSTALL = uv pip install --quiet --python $(PY)
else
CREATE = $(PYTHON) -m venv $(VENV) && $(PY) -m pip install --quiet --upgrade 'pip>=25.1'
INSTALL = $(PY) -m pip install --quiet
endif

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo demo-django console test test-browser screenshots test-asgi-versions test-asgi-alone test-django-versions test-django-alone \
  test-flask-versions test-flask-alone bench lint lint-ruff lint-format lint-mypy lint-pyright lint-imports docs clean

help: ## list the targets
	@grep -E '^[a-z-]+: .*## ' Makefile | sed -E 's/^([a-z-]+): .*## /  make \1\t/' | expand -t 16

# Four stamps, each on top of the one before: what a user installs, what the example application needs, what the suite
# needs, everything. One beside them: what the Django example needs.
$(VENV)/.stamp-base: pyproject.toml
	@command -v "$(PYTHON)" >/dev/null || { \
	  echo "PYTHON=$(PYTHON): no such command; set PYTHON to a Python 3.10 or later" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "PYTHON=$(PYTHON) is $$($(PYTHON) --version 2>&1): supervisor-guards needs 3.10 or later;" \
	       "set PYTHON, e.g. make PYTHON=python3.12 test" >&2; exit 1; }
	@test -x $(PY) || { $(CREATE); }
	$(INSTALL) -e .
	@touch $@

$(VENV)/.stamp-demo: $(VENV)/.stamp-base
	$(INSTALL) -e '.[asgi]' --group demo
	@touch $@

$(VENV)/.stamp-demo-django: $(VENV)/.stamp-demo
	$(INSTALL) -e '.[django]' --group demo-django
	@touch $@

$(VENV)/.stamp-test: $(VENV)/.stamp-demo
	$(INSTALL) -e . --group test
	@touch $@

$(VENV)/.stamp-dev: $(VENV)/.stamp-test
	$(INSTALL) -e . --group dev
	@touch $@

$(VENV)/.stamp-browser: $(VENV)/.stamp-test
	$(INSTALL) -e . --group browser
	@touch $@

demo: $(VENV)/.stamp-demo ## a first look: a web service and its agent in shadow, then enforced
	@$(PY) -m example_apps.asgi_refunds.demo

demo-django: $(VENV)/.stamp-demo-django ## the same with a Django project, on gunicorn
	@$(PY) -m example_apps.django_refunds.demo

DEMO_FOLDER ?= .supervisor-demo

console: $(VENV)/.stamp-demo ## the console on the demo's data, at a link for this machine alone
	@SUPERVISOR_STATE_DIR=$(DEMO_FOLDER) SUPERVISOR_POLICY=example_apps/asgi_refunds/supervisor.yaml \
	  $(PY) -m supervisor_guards.cli console

test: $(VENV)/.stamp-test ## the test suite, on all cores
	@$(PY) -c 'import platform, sys; print("Python", platform.python_version(), sys.executable)'
	$(PY) -m pytest -n $(PYTEST_WORKERS) --maxprocesses 8 $(PYTEST_ARGS)

# CHROMIUM=/path/to/chrome make test-browser, where the system's isn't called so.
CHROMIUM ?= $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)

test-browser: $(VENV)/.stamp-browser ## the console in a real browser, by the system's Chromium
	@test -n "$(CHROMIUM)" || { \
	  echo "no Chromium on PATH: apt-get install --no-install-recommends chromium, or set CHROMIUM to a browser's path" \
	    >&2; exit 1; }
	CHROMIUM="$(CHROMIUM)" $(PY) -m pytest -n 1 $(PYTEST_ARGS) tests/console/browser

screenshots: $(VENV)/.stamp-browser ## the console's pages as images, into docs/images
	CHROMIUM="$(CHROMIUM)" $(PY) -m tests.console.screenshots docs/images

ASGI_ROWS ?= floor middle

test-asgi-versions: $(VENV)/.stamp-base ## the ASGI adapter on older Starlette and FastAPI
	@set -e; for row in $(ASGI_ROWS); do $(PY) tests/integrations/versions.py $$row $(PYTEST_ARGS); done

test-asgi-alone: $(VENV)/.stamp-base ## the ASGI adapter without FastAPI, and without Starlette
	@set -e; for row in starlette bare; do $(PY) tests/integrations/versions.py $$row; done

# Django 6 needs Python 3.12.
DJANGO_ROWS ?= $(shell $(PYTHON) -c 'import sys; print("5.2 6.0 6.1" if sys.version_info >= (3, 12) else "5.2")')

test-django-versions: $(VENV)/.stamp-base ## the Django adapter on the Django versions that this Python can have
	@set -e; for row in $(DJANGO_ROWS); do $(PY) tests/integrations/versions.py $$row $(PYTEST_ARGS); done

test-django-alone: $(VENV)/.stamp-base ## the Django adapter without REST framework, ninja and other frameworks
	@$(PY) tests/integrations/versions.py django

FLASK_ROWS ?= flask-3.0 flask-3.1

test-flask-versions: $(VENV)/.stamp-base ## the Flask adapter on Flask 3.0 and 3.1
	@set -e; for row in $(FLASK_ROWS); do $(PY) tests/integrations/versions.py $$row $(PYTEST_ARGS); done

test-flask-alone: $(VENV)/.stamp-base ## the Flask adapter without other frameworks
	@$(PY) tests/integrations/versions.py flask

bench: $(VENV)/.stamp-test ## the table of docs/performance.md
	$(PY) -m benchmarks

lint: lint-ruff lint-format lint-mypy lint-pyright lint-imports ## style, types and import arrows

lint-ruff: $(VENV)/.stamp-dev
	$(BIN)/ruff check --config 'extend-exclude = [".venvs"]' .

lint-format: $(VENV)/.stamp-dev
	$(BIN)/ruff format --check --config 'extend-exclude = [".venvs"]' .

lint-mypy: $(VENV)/.stamp-dev
	$(BIN)/mypy

lint-pyright: $(VENV)/.stamp-dev
	$(BIN)/pyright --pythonpath $(PY)

lint-imports: $(VENV)/.stamp-dev
	$(BIN)/lint-imports --no-cache

docs: $(VENV)/.stamp-dev ## the documentation, into docs/_build
	$(BIN)/sphinx-build -W --keep-going -b html $(SPHINX_ARGS) docs docs/_build

clean: ## remove environments, build output and caches
	rm -rf .venv .venvs build dist docs/_build \
	  .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
