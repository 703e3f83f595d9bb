"""A check of every unit of a core, on whatever device it is."""
