"""For every key of the schema, a test that a value other than the default's reaches where it acts.

To add a key, write such a test here and mark it with `acts`; test_schema.py fails for a key that has none.
"""

import pytest

OTHER: dict[str, tuple[str, ...]] = {}
"""Key → the overrides that give it another value than the default."""


def acts(key, *overrides):
    """Marks the test that `key` acts; the test gets the overrides, by default those given, as `overrides`."""
    assert key not in OTHER, f"two tests of {key}"
    OTHER[key] = overrides
    return pytest.mark.parametrize("overrides", [pytest.param(overrides, id=key)])
