"""Language models on a core that only multiplies: everything else is the host's."""
