"""The holdings of a leaving person, for the handover."""
