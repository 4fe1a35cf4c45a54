"""Connected systems: registered by a unit, approved by the center, with own credentials and network origins (clause 5d.3)."""
