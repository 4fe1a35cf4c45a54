"""Containment orders on grants."""
