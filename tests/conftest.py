import os

import pytest

# Before anything imports verl, which asks for its platform once: the tests run without a GPU.
os.environ.setdefault("VERL_PLATFORM", "cpu")


@pytest.hookimpl(tryfirst=True)  # before xdist reads the marks, or every test is a group of its own
def pytest_collection_modifyitems(items):
    """One of two processes trains, one run after the other; the other one takes the rest, file by file."""
    for item in items:
        group = "e2e" if item.get_closest_marker("e2e") else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))
