"""Who may use what: terms, suspensions, revocation."""
