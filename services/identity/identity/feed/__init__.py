"""Upkeep of the revocation feed: snapshot, repair, expiry."""
