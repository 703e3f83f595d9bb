"""Generic stream plumbing."""
