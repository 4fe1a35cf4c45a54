"""Programs for those who work on the code; the Makefile names them."""
