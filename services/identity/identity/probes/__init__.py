"""Probe credentials: with them, incident shows that access is blocked, or restored."""
