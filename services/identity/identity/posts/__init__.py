"""Posts and appointments: permissions belong to a post, and people hold posts (clause 6.2)."""
