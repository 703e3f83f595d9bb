"""Boards and systems on chip around the core."""
