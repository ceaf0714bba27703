"""Wardkeep turns ordinary Debian servers into a HIPAA-ready platform, and proves it."""

__version__ = "0.1.0"
