"""Bus adapters."""
