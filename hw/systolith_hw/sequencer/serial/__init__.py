"""Issue from a microprogram, for cores whose logic cells are dear."""
