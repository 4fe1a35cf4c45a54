"""Handovers: what a leaving person was responsible for and obtained goes to other hands (clause 6.6)."""
