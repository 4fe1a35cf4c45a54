"""Acknowledgements: the enforcement points' receipts, which prove that a cutoff is effective (P1, clause 6.5)."""
