# SPDX-License-Identifier: GPL-3.0-or-later
"""A release: its changelog, and the archives as Galaxy takes them."""

from __future__ import annotations

import json
import re

import pytest
import yaml

from tests.galaxy.conftest import FRAGMENT, RELEASE, VERSION
from tests.support import BIN, ROOT, ansible
from tests.tools.archive import build

SENTENCES = [
    sentence
    for fragment in [*(yaml.safe_load(path.read_text()) for path in sorted((ROOT / "changelogs/fragments").glob("*.yml"))), FRAGMENT]
    for section in fragment.values()
    for sentence in (section if isinstance(section, list) else [section])
]


def test_a_release_gathers_all_fragments_in_the_changelog(released):
    changelog = yaml.safe_load((released / "changelogs/changelog.yaml").read_text())["releases"][RELEASE]
    gathered = [sentence for section in changelog["changes"].values() for sentence in (section if isinstance(section, list) else [section])]
    assert sorted(gathered) == sorted(SENTENCES) and SENTENCES
    assert list((released / "changelogs/fragments").glob("*.yml")) == []
    page = (released / "CHANGELOG.md").read_text().replace("\\", "")
    assert page.index(f"\n## v{RELEASE}\n") < page.index(f"\n## v{VERSION}\n")
    page = page[page.index(f"\n## v{RELEASE}\n") : page.index(f"\n## v{VERSION}\n")]
    assert page.count("\n* ") == sum(isinstance(section, list) and len(section) for section in changelog["changes"].values())


@pytest.mark.parametrize("strict", [False, True], ids=["checkout", "release"])
def test_galaxy_takes_the_archive_without_a_warning(strict, released, home, tmp_path):
    """The release with the rules of Automation Hub, too, which wants a version of at least 1.0.0 and one of its tags."""
    archive = build(tmp_path, released if strict else ROOT)
    rules = {"GALAXY_IMPORTER_REQUIRE_V1_OR_GREATER": str(strict), "GALAXY_IMPORTER_CHECK_REQUIRED_TAGS": str(strict)}
    # ansible-lint looks for roles above the folder of the archive, and the machine's folder for temporary files may have some.
    place = {"ANSIBLE_COLLECTIONS_PATH": "", "TMPDIR": str(tmp_path)}
    done = ansible("galaxy-importer", str(archive), home=home, cwd=tmp_path, command=[BIN / "python", "-m", "galaxy_importer.main"], **rules, **place)
    assert "...ansible-lint run complete" in done.stdout, "it was run"
    assert [line for line in done.output.splitlines() if re.match("(WARNING|ERROR|CRITICAL)", line)] == []

    result = json.loads((tmp_path / "importer_result.json").read_text())
    kinds = {item["content_type"] for item in result["contents"]}
    assert {"module", "filter", "role", "playbook"} <= kinds
    pages = [result["docs_blob"]["collection_readme"], *result["docs_blob"]["documentation_files"]]
    addresses = re.findall(r'(?:href|src)="([^"]*)"', "".join(page["html"] for page in pages))
    assert addresses and [one for one in addresses if not one.startswith(("https://", "http://", "#"))] == []
