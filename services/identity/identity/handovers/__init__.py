"""Handovers: successors take over a leaving person's responsibilities and data, or destroy the data (clause 6.6)."""
