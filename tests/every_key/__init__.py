"""For every key of the schema, a test that a non-default value has its effect.

To add a key, write such a test here and mark it with `acts`; test_schema.py fails for a key without one.
"""

import pytest

OTHER: dict[str, tuple[str, ...]] = {}
"""Key → the overrides that give it a non-default value."""


def acts(key, *overrides):
    """Marks the test that `key` has its effect; the test gets the overrides as `overrides`."""
    assert key not in OTHER, f"two tests of {key}"
    OTHER[key] = overrides
    return pytest.mark.parametrize("overrides", [pytest.param(overrides, id=key)])
