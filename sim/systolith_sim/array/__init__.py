"""Golden models of the multiplier array."""
