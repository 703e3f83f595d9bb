"""The vector unit: requantisation and block normalisation."""
