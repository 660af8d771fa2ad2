# SPDX-License-Identifier: GPL-3.0-or-later
"""Sphinx's settings for the documentation site. See build.py."""

import os
import zlib
from pathlib import Path

import yaml
from pygments.lexers.special import TextLexer

galaxy = yaml.safe_load((Path(__file__).parents[2] / "galaxy.yml").read_text())
project = "lvs.ipvs"
copyright = "Contributors to the lvs.ipvs project"
html_title = "lvs.ipvs"
html_short_title = "lvs.ipvs"

extensions = ["myst_parser", "sphinx.ext.intersphinx", "sphinx_antsibull_ext"]
myst_heading_anchors = 4
nitpicky = True

html_theme = "sphinx_ansible_theme"
html_theme_options = {
    "show_extranav": False,
    "show_rtd_ethical_ads": False,
    "documentation_home_url": galaxy["homepage"],
    "topbar_links": {"Repository": galaxy["repository"], "Issues": galaxy["issues"]},
}
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
html_use_index = False
pygments_style = "ansible"
highlight_language = "YAML+Jinja"

# What antsibull-docs refers to in Ansible's own documentation: label and page. The site builds without a network. Set
# LVS_DOCS_INTERSPHINX to compare these with the list that Ansible publishes.
ANSIBLE = "https://docs.ansible.com/projects/ansible/latest/"
LABELS = {
    "ansible_collections.ansible.posix.sysctl_module": "collections/ansible/posix/sysctl_module.html",
    "ansible_collections.community.general.modprobe_module": "collections/community/general/modprobe_module.html",
    "ansible_configuration_settings": "reference_appendices/config.html",
    "common_return_values": "reference_appendices/common_return_values.html",
}


def inventory(path: Path) -> str:
    """Write the labels in the form of Sphinx's inventories, version 2; returns the path."""
    lines = [f"{label} std:label -1 {page}#{label.replace('_', '-').replace('.', '-')} {label}\n" for label, page in LABELS.items()]
    head = "# Sphinx inventory version 2\n# Project: Ansible\n# Version: \n# The remainder of this file is compressed using zlib.\n"
    path.write_bytes(head.encode() + zlib.compress("".join(lines).encode()))
    return str(path)


def setup(app):
    app.add_lexer("hcl", TextLexer)  # Pygments' own fails at the blocks of Packer


published = os.environ.get("LVS_DOCS_INTERSPHINX")
intersphinx_mapping = {"ansible": (ANSIBLE, None if published else inventory(Path(os.environ["LVS_DOCS_FOLDER"], "ansible.inv")))}
