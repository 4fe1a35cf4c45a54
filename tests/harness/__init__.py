"""Ways to run the platform, or a part of it, for tests and measurements."""
