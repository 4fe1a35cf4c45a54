"""Containment orders."""
