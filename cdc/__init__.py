"""A flight recorder for Salesforce: capture, journal, detect, answer, recover."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("sf-cdc")
except PackageNotFoundError:  # run from a tree that was never installed
    __version__ = "0"
