"""What may be used: openings, applications, agreements, grants, queries."""
