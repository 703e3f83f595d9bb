"""Real models: fetched by pinned name and hash, read without their frameworks."""
