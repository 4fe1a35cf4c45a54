"""A breach as it is reported: its facts, its obligations, and its file."""
