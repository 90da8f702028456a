"""The examples in docstrings are right."""

import doctest
import importlib

import pytest

from cifar_resnet.run.defaults import REPO_ROOT

MODULES = [
    ".".join(path.relative_to(REPO_ROOT).with_suffix("").parts)
    for path in sorted((REPO_ROOT / "cifar_resnet").rglob("*.py"))
    if ">>>" in path.read_text()
]


@pytest.mark.parametrize("module", MODULES)
def test_examples(module):
    results = doctest.testmod(importlib.import_module(module))
    assert results.attempted > 0
    assert results.failed == 0
