"""Access control: tokens, principals, permissions, the revocation feed and the enforcement point."""
