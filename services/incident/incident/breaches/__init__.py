"""Breaches: reports, facts, obligations, and the file."""
