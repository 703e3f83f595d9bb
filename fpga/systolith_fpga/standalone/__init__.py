"""A board that needs no host: a CPU brings a model from flash memory, and tells its text."""
