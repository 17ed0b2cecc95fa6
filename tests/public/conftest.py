"""Which jaxopt_lab the public tests run: the checkout, or an installed wheel.

These files import nothing else of the repository, so that a copy of this folder tests
an installed package: ``.ci/run`` copies it away and sets ``JAXOPT_LAB_INSTALLED=1``.
"""

import importlib.metadata
import os
import pathlib

import pytest

import jaxopt_lab


def pytest_report_header() -> str:
    where = pathlib.Path(jaxopt_lab.__file__).parent
    return f"jaxopt_lab {importlib.metadata.version('jaxopt_lab')} in {where}"


def pytest_configure() -> None:
    where = pathlib.Path(jaxopt_lab.__file__)
    if os.environ.get("JAXOPT_LAB_INSTALLED") and "site-packages" not in where.parts:
        raise pytest.UsageError(f"{where} is not the installed package")
