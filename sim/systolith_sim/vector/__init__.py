"""Golden models of the vector unit."""
