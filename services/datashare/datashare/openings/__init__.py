"""The authority's openings: which fields, to which kinds of unit, for which purposes."""
