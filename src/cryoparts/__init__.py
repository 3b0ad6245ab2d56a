"""cryoparts: find the moving and missing parts of a protein from cryo-EM images."""

from importlib.metadata import version

__version__ = version("cryoparts")
