"""Signing keys of access tokens: publication, rotation and retirement."""
