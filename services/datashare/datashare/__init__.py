"""Datashare: openings, applications, agreements, grants and queries of credit data."""
