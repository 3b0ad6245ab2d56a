"""The version of the program, from one place: pyproject.toml."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("cryoparts")
except PackageNotFoundError:  # a source tree that is not installed
    __version__ = "0+not-installed"
