"""Datashare's migrations, run by its owner role."""
