"""Cells of particular devices. Components use them behind a portable default."""
