"""The choice of one of the largest values by chance."""
