# SPDX-License-Identifier: GPL-3.0-or-later
# The ways into this checkout. What each stage of the tests is stands in tests/run.py.

PYTHON := $(firstword $(wildcard /usr/bin/python3) python3)
PIP_INSTALL := -m pip --disable-pip-version-check install --quiet
APT_INSTALL := apt-get -o DPkg::Lock::Timeout=300 install --yes --no-install-recommends
VENV := .venv/bin/python

# pyroute2 as Debian 12 has it, and the oldest that the collection supports. The newest is in .venv.
OLD_PYROUTE2 := .cache/pyroute2-0.6.13 .cache/pyroute2-0.7.2
COLLECTION := .cache/collections/ansible_collections/lvs/ipvs

# The tests read the checkout's environment alone, not that of the person who started them.
export ANSIBLE_COLLECTIONS_PATH := $(CURDIR)/.cache/collections

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: deps
deps: .venv/.stamp $(COLLECTION) $(OLD_PYROUTE2) ## Install what the tests and the demo need into .venv and .cache

.venv/.stamp: tests/requirements.txt tests/constraints.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed, $(PYTHON) is older")'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	    test "$$(id -u)" = 0 || { echo 'Missing here: apt-get install python3-venv (as root)' >&2; exit 1; }; \
	    apt-get -o DPkg::Lock::Timeout=300 update --quiet && $(APT_INSTALL) python3-venv; }
	$(PYTHON) -m venv .venv
	$(VENV) $(PIP_INSTALL) --requirement tests/requirements.txt --constraint tests/constraints.txt
	@touch $@

# Ansible finds a collection only under ansible_collections/NAMESPACE/NAME.
$(COLLECTION):
	@mkdir -p $(@D)
	@ln -sfn ../../../.. $@

$(OLD_PYROUTE2): .cache/pyroute2-%: | .venv/.stamp
	@rm -rf $@ $@.part
	$(VENV) $(PIP_INSTALL) --target $@.part pyroute2==$*
	@mv $@.part $@
