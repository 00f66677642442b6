# Everything this project does, by name: `make help`.
SHELL := bash
.SHELLFLAGS := -p -euo pipefail -c
MAKEFLAGS += --no-builtin-rules --no-print-directory
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON  ?= $(shell command -v python3.11 || command -v python3)
PROFILE ?= fast
JOBS    ?= 2
PORT    ?= 8000

ifeq ($(filter $(PROFILE),fast full),)
$(error PROFILE must be fast or full, got '$(PROFILE)')
endif

cores    := $(shell getconf _NPROCESSORS_ONLN)
venv     := .venv/bin
html     := book/_build/html
one_page := book/_build/one-page
pdf      := book/_build/pde-g-cnns.pdf
module   := .make/browser/kernels.wasm
names    := $(basename $(notdir $(wildcard notebooks/*.md)))
keys     := $(names:%=.make/key/%) .make/key/browser .make/key/book
executed := $(names:%=book/_executed/%.ipynb)

# Kernels come from .venv even where the reader has a `python3` kernel of their own; no progress bars in logs.
export JUPYTER_PREFER_ENV_PATH := 1
export PYDEVD_DISABLE_FILE_VALIDATION := 1
export TQDM_DISABLE := 1
export NO_COLOR := 1
# What readers have set for themselves shows nowhere; tools/notebooks.py has more of it.
export PYTHONUTF8 := 1
export IPYTHONDIR := $(CURDIR)/.make/ipython
export JUPYTER_RUNTIME_DIR := $(CURDIR)/.make/jupyter
export MPLCONFIGDIR := $(CURDIR)/.make/matplotlib
export JUPYTER_CONFIG_DIR := $(CURDIR)/.make/jupyter
unexport MPLBACKEND MATPLOTLIBRC PLOTLY_RENDERER PYTHONSTARTUP PYTHONWARNINGS PYTHONOPTIMIZE FORCE_COLOR
unexport PYTHONHOME PYTHONPATH PYTHONINSPECT JUPYTER_PATH JUPYTER_CONFIG_PATH BASH_ENV CDPATH GREP_OPTIONS
# Every process may use all cores, so that the last and longest notebook is not left with half of them; while several
# run, threads that wait must sleep rather than spin.
export OMP_NUM_THREADS ?= $(cores)
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: help setup test reproduce notebooks nbval book pdf serve check-book lint bench gpu grid recheck refresh clean FORCE

help: ## list these verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  PROFILE=fast|full  what the notebooks compute (now: $(PROFILE))"
	@echo "  PYTHON=PROGRAM     the interpreter that makes .venv (now: $(PYTHON))"
	@echo "  JOBS=N             notebooks, tests and trainings at a time (now: $(JOBS))"
	@echo "  PDEGCNN_DATA=DIR   where MNIST, CHASE_DB1, DRIVE lie (now: $(or $(PDEGCNN_DATA),not set))"

# ---- environment -----------------------------------------------------------------------------------------------

setup: .venv/.ready ## make .venv from requirements.lock and install the library into it, editable

# An environment is bound to the place where it was made: in a checkout that was copied or moved, make another.
here := $(shell test -x .venv/bin/python && head -qn 2 .venv/bin/pytest 2>/dev/null | grep -F "$$(pwd -P)/.venv/bin/")

.venv/.ready: .make/key/setup $(if $(here),,FORCE)
	@tools/step "environment" tools/make-venv "$(PYTHON)" .venv
	@touch $@

# A key is a file that holds a hash of some inputs. Its recipe always runs, but writes only where the hash is new: what
# depends on a key is made again when contents change, and never because a clock or a checkout touched a file.
.make/key/setup: FORCE
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || { echo "PYTHON must name a Python 3.11 or later, got '$(PYTHON)'" >&2; exit 2; }
	@"$(PYTHON)" tools/fingerprint.py setup --out .make/key --salt "$$("$(PYTHON)" --version)"

.make/key/.all: .make/key/setup FORCE
	@"$(PYTHON)" tools/fingerprint.py notebooks browser book --out .make/key --salt "$(PROFILE) $$(cat .make/key/setup)"

$(keys): .make/key/.all ;

# ---- notebooks and book ----------------------------------------------------------------------------------------

reproduce: ## run every notebook that is not up to date, build the book, say where to open it
	@$(MAKE) -j$(JOBS) notebooks
	@$(MAKE) book
	@echo "up to date; open file://$(CURDIR)/$(html)/index.html or run: make serve"

notebooks: $(executed) ## run the notebooks that are not up to date, into book/_executed

$(executed): book/_executed/%.ipynb: .make/key/% | .venv/.ready
	@tools/step "notebook $*" $(venv)/python tools/notebooks.py run notebooks/$*.md --out $@ --profile $(PROFILE)

book: .make/book ## build the book from the notebooks that were run, warnings are errors

$(module): .make/key/browser | .venv/.ready
	@tools/step "module for a browser" $(venv)/python tools/browser_module.py --out $@
	@touch $@

.make/book: .make/key/book $(executed) $(module) | .venv/.ready
	@tools/step "book" tools/build-book $(venv) $(html)
	@touch $@

pdf: .make/pdf ## print the same pages into one PDF; needs a Chromium
	@echo "up to date; open file://$(CURDIR)/$(pdf)"

.make/pdf: .make/key/book $(executed) $(module) | .venv/.ready
	@tools/step "book on one page" tools/build-book $(venv) $(one_page) singlehtml
	@tools/step "PDF" $(venv)/python tools/print_book.py $(one_page)/intro.html --out $(pdf)
	@touch $@

serve: book ## show the book on http://localhost:PORT
	$(venv)/python -m http.server --bind 127.0.0.1 --directory $(html) $(PORT)

# ---- checks ----------------------------------------------------------------------------------------------------

nbval := --nbval-lax --nbval-current-env --nbval-sanitize-with tests/nbval_sanitize.cfg
xdist := -n $(JOBS) --dist loadfile

test: setup ## unit tests, then the notebooks against their checked outputs
	@$(venv)/pytest -q $(xdist) -m "not browser and not gpu" $(nbval) tests notebooks

nbval: setup ## the notebooks against their checked outputs
	@$(venv)/pytest -q $(xdist) $(nbval) notebooks

check-book: book ## open every page of the built book in a headless Chromium
	@$(venv)/pytest -q -n $(JOBS) --dist worksteal -m browser tests/browser

lint: setup ## style, types, notebook pairs
	@$(venv)/ruff check .
	@$(venv)/ruff format --check .
	@$(venv)/mypy
	@$(venv)/python tools/browser_types.py
	@$(venv)/python tools/notebooks.py check notebooks/*.md
	@$(venv)/jupytext --quiet --to md:myst --test notebooks/*.ipynb

refresh: notebooks ## write the checked outputs of the last run into notebooks/*.ipynb, to be committed
	@for name in $(names); do \
	    $(venv)/python tools/notebooks.py refresh notebooks/$$name.md --executed book/_executed/$$name.ipynb; \
	done

# ---- measurements ----------------------------------------------------------------------------------------------

bench: setup ## time the kernels
	@$(venv)/pdegcnn bench

gpu: setup ## everything that needs a GPU; fails where there is none
	@$(venv)/python -m pdegcnn_lib.companion.bench.gpu

# Two runs of one thread train more than one of two: each job takes the next run that nobody does.
trainings := $(addprefix .training-,$(shell seq $(JOBS)))
.PHONY: $(trainings)
$(trainings):
	@OMP_NUM_THREADS=1 $(venv)/pdegcnn grid

grid: setup ## train every model of every experiment with every seed into results/, resuming, JOBS at a time
	@$(MAKE) -j$(JOBS) $(trainings)

recheck: setup ## evaluate every committed network again and compare its score with the recorded one
	@$(venv)/python -m pdegcnn_lib.companion.experiments.recheck

clean: ## remove what make wrote, except .venv
	@rm -rf .make book/_build book/_executed book/_generated
