"""Accounts: one person, one account, from invitation to revocation (clauses 3.1, 7.6)."""
