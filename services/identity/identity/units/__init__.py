"""Units: organizations that build, run, maintain or use the platform (clauses 3.1, 4.1)."""
