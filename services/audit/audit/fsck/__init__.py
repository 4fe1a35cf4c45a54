"""Checks a whole log: `python -m audit.fsck`."""
