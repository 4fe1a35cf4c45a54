"""Sessions: signing in with two factors, refreshing, signing out (clause 7.6)."""
