"""Suspensions: several causes may suspend a unit, an account or a system at once; each is lifted separately."""
