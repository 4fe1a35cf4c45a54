"""PostgreSQL: engine and sessions, migrations, encryption at rest, pruning."""
