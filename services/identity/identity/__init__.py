"""Identity: units, people, posts, tokens, departures, connected systems."""
