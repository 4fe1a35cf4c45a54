"""Confidentiality training and undertaking: what must be learnt and signed before credit data opens (clause 6.1)."""
