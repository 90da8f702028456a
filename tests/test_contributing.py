"""What contributors are told to run exists, and runs the same checks everywhere."""

import re
import subprocess

import yaml

from cifar_resnet.run.defaults import REPO_ROOT


def test_the_hooks_before_a_commit_are_the_checks_of_make_lint():
    plan = subprocess.run(["make", "-n", "lint"], cwd=REPO_ROOT, capture_output=True, text=True, check=True).stdout
    checks = [line for line in plan.splitlines() if re.search(r"-m ruff|-m mypy|lint-imports", line)]
    hooks = yaml.safe_load((REPO_ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
    assert len(checks) == 4
    assert [hook["entry"] for hook in hooks] == [re.sub(r"^\S*/", "", check) for check in checks]


def test_the_workflow_runs_what_is_run_here():
    workflow = yaml.safe_load((REPO_ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    steps = [step.get("run") for step in workflow["jobs"]["ci"]["steps"]]
    assert ".ci/run" in steps
    assert (REPO_ROOT / ".ci/run").stat().st_mode & 0o111
