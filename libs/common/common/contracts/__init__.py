"""What services agree on: events, topics, permissions, policies. The one place that knows every service's nouns."""
