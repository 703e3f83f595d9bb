"""Turn matrices into programs, memory maps and packed numbers."""
