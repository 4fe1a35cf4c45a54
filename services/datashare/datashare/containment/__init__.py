"""Carries out containment orders on grants."""
