"""Audit's schema, forward only."""
