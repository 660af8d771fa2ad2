# SPDX-License-Identifier: GPL-3.0-or-later
# The ways into this checkout. What each stage of the tests is stands in tests/run.py.

PYTHON := $(firstword $(wildcard /usr/bin/python3) python3)
PIP_INSTALL := -m pip --disable-pip-version-check install --quiet --use-pep517
# What the tests run in the lab's kernel, which shows them this machine's own files.
TEST_PACKAGES := chromium curl ipset iptables ipvsadm iproute2 keepalived kmod nftables
APT_GET := DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300
apt_install = { \
    test "$$(id -u)" = 0 || { echo 'Missing here: apt-get install $(1) (as root)' >&2; exit 1; }; \
    $(APT_GET) update --quiet && $(APT_GET) install --yes --no-install-recommends $(1); }
VENV := .venv/bin/python

# The whole of the package ansible, for its collection kubernetes.core.
KUBE := .cache/kube-venv
# galaxy-importer, ansible-builder and what else a release goes through.
GALAXY := .cache/galaxy-venv
# Sphinx and what it needs for the documentation site.
DOCS := .cache/docs-venv
COLLECTION := .cache/collections/ansible_collections/lvs/ipvs

# Plays see the checkout as the installed collection.
export ANSIBLE_COLLECTIONS_PATH := $(CURDIR)/.cache/collections

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: deps
deps: .venv/.stamp $(COLLECTION) ## Install what the tests and the demo need into .venv and .cache

.PHONY: lab
lab: deps ## Install what the lab needs: a real IPVS kernel, and whole machines
	@$(VENV) -m extensions.lab doctor --install

.PHONY: tools
tools: lab
	@test "$$(dpkg-query --show --showformat '$${db:Status-Status}\n' $(TEST_PACKAGES) 2>/dev/null | grep -cx installed)" = $(words $(TEST_PACKAGES)) \
	    || $(call apt_install,$(TEST_PACKAGES))

.PHONY: demo
demo: lab ## A director and two real servers, set up and shown at work; KEEP=1 leaves them up
	@$(VENV) tests/demo.py $(if $(KEEP),--keep)

.PHONY: test
test: tools environments $(KUBE) $(GALAXY) $(DOCS) ## What is tested, in about half an hour
	$(VENV) tests/run.py

.PHONY: test-all
test-all: tools all-environments $(KUBE) $(GALAXY) $(DOCS) ## Everything that is tested, with what takes too long for make test
	$(VENV) tests/run.py all

.PHONY: test-fast
test-fast: tools $(KUBE) ## What to run before each commit, in about four minutes
	$(VENV) tests/run.py fast

.PHONY: test-unit
test-unit: deps ## Pure logic and the collection's archive, in seconds, anywhere
	$(VENV) tests/run.py unit

.PHONY: test-integration
test-integration: tools ## Modules on a real IPVS kernel
	$(VENV) tests/run.py integration integration-keepalived integration-node

.PHONY: test-machines
test-machines: lab environments ## Playbooks on whole machines
	$(VENV) tests/run.py machines

.PHONY: molecule
molecule: tools $(KUBE) ## Roles on whole machines: the scenarios of extensions/molecule
	$(VENV) tests/run.py $(patsubst extensions/molecule/%/molecule.yml,molecule-%,$(wildcard extensions/molecule/*/molecule.yml))

.PHONY: kube
kube: lab $(KUBE) ## kube_proxy on a real Kubernetes, built out of Debian's packages when it is first asked for
	$(VENV) tests/run.py kube-real

.PHONY: mutation
mutation: tools ## Whether tests notice a sample of faults in the code: SEED=NUMBER, NUMBER=60; takes hours
	$(VENV) -m tests.tools.mutation $(if $(SEED),--seed $(SEED)) --number $(or $(NUMBER),60)

.PHONY: coverage
coverage: tools ## Which lines and branches of the plugins the unit and integration tests reach
	$(VENV) -m tests.tools.covered

.PHONY: lint
lint: deps $(KUBE) ## Form of code, roles, documentation and licences
	$(VENV) tests/run.py lint

.PHONY: sanity
sanity: deps ## ansible-test sanity
	$(VENV) tests/run.py sanity

.PHONY: galaxy
galaxy: deps $(KUBE) $(GALAXY) ## The archive as Galaxy takes it, and a release in a copy
	$(VENV) tests/run.py galaxy

.PHONY: docs
docs: deps $(DOCS) ## The documentation site, in .cache/site/html
	@$(DOCS)/bin/python tests/site/build.py

.PHONY: messages
messages: deps ## Every error and warning that a user can meet, for a person to read
	@$(VENV) tests/tools/messages.py

.PHONY: build
build: deps ## The collection's archive, in .cache/build
	@$(VENV) -m tests.tools.archive .cache/build

.PHONY: bench
bench: tools ## Speed, side by side with what users would otherwise run
	@$(VENV) -m tests.bench
	@$(VENV) -m tests.bench.health

.PHONY: clean
clean: ## Remove .venv and .cache with all that was made in them
	rm -rf .venv .cache

.venv/.stamp: tests/requirements.txt tests/requirements-unit.txt tests/constraints.txt
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || $(call apt_install,python3-venv)
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed")'
	$(PYTHON) -m venv --clear .venv
	$(VENV) $(PIP_INSTALL) --requirement tests/requirements.txt --constraint tests/constraints.txt
	@touch $@

# Ansible finds a collection only under ansible_collections/NAMESPACE/NAME.
$(COLLECTION):
	@mkdir -p $(@D)
	@ln -sfn ../../../.. $@

.PHONY: environments all-environments
environments: lab
	@$(VENV) -m tests.tools.environments

all-environments: lab
	@$(VENV) -m tests.tools.environments all

.PHONY: $(KUBE) $(GALAXY) $(DOCS)
$(KUBE) $(GALAXY) $(DOCS): %: %/.stamp

.cache/kube-venv/.stamp: tests/kube/requirements.txt | .venv/.stamp $(COLLECTION)
	$(PYTHON) -m venv --clear $(@D)
	$(@D)/bin/python $(PIP_INSTALL) --no-compile --requirement tests/kube/requirements.txt
	@ln -sfn $$($(@D)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/ansible_collections/kubernetes $(dir $(@D))collections/ansible_collections/
	@touch $@

.cache/galaxy-venv/.stamp: tests/galaxy/requirements.txt | .venv/.stamp
	$(PYTHON) -m venv --clear $(@D)
	$(@D)/bin/python $(PIP_INSTALL) --requirement tests/galaxy/requirements.txt
	@touch $@

.cache/docs-venv/.stamp: tests/site/requirements.txt | .venv/.stamp $(COLLECTION)
	$(PYTHON) -m venv --clear $(@D)
	$(@D)/bin/python $(PIP_INSTALL) --requirement tests/site/requirements.txt
	@touch $@
