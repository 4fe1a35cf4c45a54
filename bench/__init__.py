"""Measures the platform as separate processes: `make bench` prints figures with spread and goal."""
