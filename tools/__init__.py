"""Programs that the Makefile runs on the source code."""
