"""How well a quantised model does what it is for: data with answers, and scores."""
