"""Suspensions: several causes may hold a unit, a person or a system at once, and each is lifted by itself."""
