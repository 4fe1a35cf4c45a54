"""Containment orders that identity carries out."""
