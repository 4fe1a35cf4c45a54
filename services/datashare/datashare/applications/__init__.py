"""Applications of units, with advice and decision."""
