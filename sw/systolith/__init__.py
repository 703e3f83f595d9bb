"""Systolith: bring a model, see it run, exactly, on hardware you can read."""
