"""Cutoffs: the end of every credential that a subject holds (P1, clause 6.5)."""
