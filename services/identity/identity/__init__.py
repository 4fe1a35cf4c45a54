"""Who may act: units, people, posts, tokens, departures, connected systems."""
