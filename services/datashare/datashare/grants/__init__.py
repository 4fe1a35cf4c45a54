"""Grants: terms, suspensions, revocation."""
