"""The members of the platform, listed once."""

SERVICES = ("identity", "datashare", "incident", "audit")
"""Each has an API below the path of its name, a database, and a consumer group."""

MEMBERS = (*SERVICES, "gateway")
"""Each is a principal of the bus, a publisher of events, and an enforcement point."""
