"""Runs the toy's migrations."""

from common.storage.migrations import run_migrations

run_migrations()
