"""Runs the toy's migrations."""

from common.migrate import run_migrations

run_migrations()
