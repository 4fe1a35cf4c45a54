"""What every service of Xindun shares: events, bus, outbox, inbox, tokens, the revocation feed, policies, problems."""
