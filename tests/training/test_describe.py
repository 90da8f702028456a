"""The commit that a run records."""

import os
import subprocess

import pytest

from cifar_resnet.training import describe


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout with one commit, in which the project seems to be."""
    monkeypatch.setattr(describe, "__file__", str(tmp_path / "describe.py"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    for name in [name for name in os.environ if name.startswith(("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX"))]:
        monkeypatch.delenv(name)  # set by git where it runs the tests, as in a hook
    (tmp_path / "describe.py").write_text("1\n")
    git = ["git", "-c", "user.name=a", "-c", "user.email=b@c"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "Begin"]):
        subprocess.run([*git, *command], cwd=tmp_path, check=True)
    return tmp_path


def test_the_commit_is_the_checkouts_and_changes_of_tracked_files_are_noted(checkout):
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=checkout, capture_output=True, text=True).stdout.strip()
    (checkout / "untracked").write_text("")
    assert describe.git_commit() == head
    (checkout / "describe.py").write_text("2\n")
    assert describe.git_commit() == f"{head}+changes"


def test_an_installed_package_has_no_commit_inside_another_projects_checkout(checkout, monkeypatch):
    installed = checkout / ".venv" / "describe.py"
    installed.parent.mkdir()
    installed.write_text("1\n")
    monkeypatch.setattr(describe, "__file__", str(installed))
    assert describe.git_commit() is None


def test_outside_a_checkout_or_without_git_there_is_no_commit(checkout, monkeypatch):
    (checkout / ".git").rename(checkout / "elsewhere")
    assert describe.git_commit() is None
    (checkout / "elsewhere").rename(checkout / ".git")
    monkeypatch.setenv("PATH", str(checkout))
    assert describe.git_commit() is None
