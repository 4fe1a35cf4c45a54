"""Access tokens: minted here alone, verified everywhere (design §6)."""
