"""Probe credentials: with which incident shows that a door is shut, or open again."""
