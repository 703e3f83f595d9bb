"""How long a model takes on a core, and what it needs of it, before there is any hardware."""
