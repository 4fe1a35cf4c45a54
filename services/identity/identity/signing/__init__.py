"""Signing keys: which one signs access tokens now, how one follows another, how one ends (`docs/decisions/`)."""
