"""The host link's endpoint as a program, for chips that have few logic cells."""
