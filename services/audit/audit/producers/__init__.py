"""Completeness: each producer numbers what it says without gaps, so that audit can tell that nothing is missing."""
