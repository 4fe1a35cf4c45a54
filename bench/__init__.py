"""Measures the platform by processes: `make bench`. Figures with their spread and their goals, never a verdict."""
