"""Units: who builds, runs, maintains or uses the platform (clauses 3.1, 4.1)."""
