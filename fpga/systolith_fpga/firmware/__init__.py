"""Programs of CPUs around a core, in C, and what they are given to do."""
