"""Probes: real requests that show whether a containment order holds."""
