"""External SDRAM: its chips, a controller, and the way from the core's clients to it."""
