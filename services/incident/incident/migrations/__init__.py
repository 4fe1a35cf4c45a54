"""Incident's schema, forward only."""
