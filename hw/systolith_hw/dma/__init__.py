"""Transfers between external and on-chip memory."""
