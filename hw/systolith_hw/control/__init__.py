"""Control and status registers, counters, errors."""
