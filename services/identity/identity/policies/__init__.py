"""Policies: the authority's dated, versioned rules, and their way to every process (P9, clause 15.1)."""
