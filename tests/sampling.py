"""Cases of which the default run takes some, and `pytest -m slow` the others."""

import pytest


def some(cases, every):
    """Cases for `pytest.mark.parametrize`: every so many-th as it is, the others marked slow."""
    return [
        case
        if number % every == 0
        else pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.slow)
        for number, case in enumerate(cases)
    ]
