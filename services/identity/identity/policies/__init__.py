"""The authority's dated, versioned rules, and how they come to every process (P9, clause 15.1)."""
