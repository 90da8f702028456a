"""The versions and hashes that are installed, and the ranges that are allowed."""

import re

import pytest

from cifar_resnet.run.defaults import REPO_ROOT


def entries(name: str) -> dict[str, str]:
    """Package → version of a file of requirements."""
    text = (REPO_ROOT / name).read_text(encoding="utf-8")
    found = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)", text, re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", package).lower(): version for package, version in found}


def test_the_lock_has_the_versions_of_the_constraints():
    constraints, lock = entries("constraints.txt"), entries("requirements.lock")
    common = lock.keys() & constraints.keys()
    assert {"torch", "pillow", "hydra-core", "pytest"} <= common
    assert {name: lock[name] for name in common} == {name: constraints[name] for name in common}


def test_everything_in_the_lock_has_a_hash():
    text = (REPO_ROOT / "requirements.lock").read_text(encoding="utf-8")
    blocks = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]
    assert len(blocks) > 50
    assert all("--hash=sha256:" in block for block in blocks)


@pytest.mark.parametrize("requirement", ["torch>=2.6", "pillow>=10.3"])
def test_versions_in_which_files_from_elsewhere_can_run_code_are_excluded(requirement):
    assert f'"{requirement}"' in (REPO_ROOT / "pyproject.toml").read_text(encoding="utf-8")
