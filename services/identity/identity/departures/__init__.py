"""Departures: the account of a leaving person is suspended on the report, then cancelled (clause 6.5)."""
