"""Runs on the connection of `common.storage.migrations`."""

from common.storage.migrations import run_migrations

run_migrations()
