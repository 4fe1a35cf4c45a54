"""Completeness: each producer numbers its events without gaps, so that audit detects missing ones."""
