"""Every event of the platform, one file per publisher."""
