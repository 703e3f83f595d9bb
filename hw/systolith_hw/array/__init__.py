"""The multiplier array and what feeds it."""
