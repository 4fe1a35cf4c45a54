"""Cutoffs: what ends every credential of a subject, everywhere, and the receipts that prove it (P1, clause 6.5)."""
