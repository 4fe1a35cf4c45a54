"""Confidentiality training and undertaking, the conditions of access to credit data (clause 6.1)."""
