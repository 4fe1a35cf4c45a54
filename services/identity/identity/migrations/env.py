"""Runs on the connection of `common.migrate`."""

from common.migrate import run_migrations

run_migrations()
