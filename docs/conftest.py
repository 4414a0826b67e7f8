"""`pytest docs` runs the examples of these pages."""

import pytest

# What sphinx-gallery writes.
collect_ignore = ["gallery"]

# Keras' own look at its variables, when it saves a model.
KERAS_MAKES_ARRAYS = "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
# What an example cuts, it cuts to show how.
CUT_ON_PURPOSE = "ignore:max_length=3 cuts:UserWarning"


def pytest_collection_modifyitems(items):
    for item in items:
        item.add_marker(pytest.mark.filterwarnings(KERAS_MAKES_ARRAYS))
        item.add_marker(pytest.mark.filterwarnings(CUT_ON_PURPOSE))
