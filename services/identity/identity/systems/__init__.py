"""Connected systems: registered by a unit, approved by the center, with credentials and network origins of their own (5d.3)."""
