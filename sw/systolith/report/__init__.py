"""What the hardware did in a run, for people: a page, and a trace for Perfetto."""
