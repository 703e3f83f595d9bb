"""A Transformer encoder layer twice: in float, and in the integers of the hardware."""
