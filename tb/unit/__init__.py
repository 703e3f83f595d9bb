"""Seconds-fast checks in Amaranth's own simulator."""
