# SPDX-License-Identifier: GPL-3.0-or-later
"""What several files say of the collection is what galaxy.yml says, and what runs before a commit is what the stage lint runs."""

from __future__ import annotations

import re

import yaml

from tests import run
from tests.support import ROOT

GALAXY = yaml.safe_load((ROOT / "galaxy.yml").read_text())
FULL_NAME = f"{GALAXY['namespace']}.{GALAXY['name']}"


def texts():
    """Every text of the checkout but the licences, by path."""
    left_out = {"LICENSE", ".cache", ".venv", ".git", "LICENSES"}
    paths = [path for top in ROOT.iterdir() if top.name not in left_out for path in ([top] if top.is_file() else top.rglob("*"))]
    wanted = [path for path in paths if path.is_file() and path.suffix in (".md", ".py", ".yml", ".yaml", ".toml", ".j2", ".json")]
    return {path.relative_to(ROOT).as_posix(): path.read_text() for path in wanted}


def test_the_addresses_are_of_one_repository_and_stand_in_galaxy_yml_alone():
    repository = GALAXY["repository"]
    assert GALAXY["homepage"] == repository
    assert GALAXY["documentation"].startswith(f"{repository}/") and GALAXY["issues"] == f"{repository}/issues"
    assert [path for path, text in texts().items() if repository in text] == ["galaxy.yml"]


def test_the_version_stands_in_galaxy_yml_alone():
    named = re.compile(r"lvs[-.]ipvs[-:]v?\d")  # in the name of an archive, or as ansible-galaxy asks for it
    assert [path for path, text in texts().items() if not path.startswith("tests/") and named.search(text)] == []


def test_the_newest_release_notes_are_of_this_version():
    releases = yaml.safe_load((ROOT / "changelogs/changelog.yaml").read_text())["releases"]
    assert max(releases, key=numbers) == GALAXY["version"]
    page = (ROOT / "CHANGELOG.md").read_text().replace("\\", "")
    assert re.search(r"(?m)^## v(\S+)$", page)[1] == GALAXY["version"]


def test_what_was_added_was_added_in_a_release():
    releases = yaml.safe_load((ROOT / "changelogs/changelog.yaml").read_text())["releases"]
    paths = [path for folder in ("modules", "filter") for path in (ROOT / "plugins" / folder).glob("*.py")]
    added = {path.name: re.findall(r"^version_added: (\S+)$", path.read_text(), re.MULTILINE) for path in paths}
    assert added and {name: versions for name, versions in added.items() if len(versions) != 1 or versions[0] not in releases} == {}


def numbers(version):
    return [int(number) for number in version.split(".")]


def test_the_roles_ask_for_the_same_ansible_and_licence_as_the_collection():
    requires = yaml.safe_load((ROOT / "meta/runtime.yml").read_text())["requires_ansible"]
    for path in (ROOT / "roles").glob("*/meta/main.yml"):
        role = yaml.safe_load(path.read_text())["galaxy_info"]
        assert requires == f">={role['min_ansible_version']}.0", path
        assert ([role["license"]], [role["author"]]) == (GALAXY["license"], GALAXY["authors"]), path


def test_the_tools_name_the_collection():
    assert yaml.safe_load((ROOT / "changelogs/config.yaml").read_text())["title"] == FULL_NAME
    assert run.COLLECTION.parts[-2:] == (GALAXY["namespace"], GALAXY["name"])


def test_the_hooks_before_a_commit_run_what_the_stage_lint_runs():
    (stage,) = (stage for stage in run.STAGES if stage.name == "lint")
    settings = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    (local,) = settings["repos"]
    prefix = "env PATH=.venv/bin:/usr/bin:/bin ANSIBLE_COLLECTIONS_PATH=.cache/collections "
    assert local["repo"] == "local"
    assert [hook["entry"] for hook in local["hooks"]] == [prefix + " ".join(hook_words(command)) for command in stage.commands]
    for hook in local["hooks"]:
        assert (hook["language"], hook["pass_filenames"], hook["always_run"]) == ("system", False, True), hook["id"]


def hook_words(command):
    """A command of a stage as it is written in a hook, whose environment is set already and whose paths are relative."""
    words = [word.replace(f"{ROOT}/", "") for word in command]
    return words[1:] if words[0] == "env" else words


def test_the_workflows_run_what_a_person_runs():
    steps = [step for name in ("test", "release") for job in workflow(name)["jobs"].values() for step in job["steps"]]
    commands = " ".join(step.get("run", "") for step in steps)
    targets = set(re.findall(r"make ([a-z-]+)", commands))
    assert {"test", "build"} <= targets
    assert targets <= set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))


def workflow(name):
    return yaml.safe_load((ROOT / f".github/workflows/{name}.yml").read_text())
