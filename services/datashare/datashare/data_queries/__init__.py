"""Queries of credit data: the verdict over the legal chain, and the records."""
