"""Departures: who transfers or leaves is reported, cut off at once, and cancelled (clause 6.5)."""
