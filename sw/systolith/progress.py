"""Who is told how far long work is."""

__all__ = ["Progress"]


class Progress:
    """Is told what long work is at. This one keeps it to itself."""

    def __call__(self, stage: str) -> None:
        """Begin with the next stage."""

    def reached(self, done: float, total: float) -> None:
        """Take note that ``done`` of ``total`` of this stage, maybe a guess, is behind us."""
