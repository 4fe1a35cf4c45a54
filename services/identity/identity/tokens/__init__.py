"""Access tokens: identity alone issues them, every enforcement point verifies them."""
