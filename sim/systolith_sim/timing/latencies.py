"""How many cycles everything takes that is not work: one table, in terms of the configuration.

Numbers are those that the hardware's docstrings give, or sums of them along a way.
"""

from dataclasses import dataclass

from systolith_hw.config import Config

__all__ = ["Latencies"]


@dataclass(frozen=True)
class Latencies:
    """Of one configuration.

    Parameters
    ----------
    config : Config
    """

    config: Config

    # -- the sequencer (sequencer/issue.py, loops.py, calc.py, outside.py, queue.py) ---------

    start: int = 9
    """From the start write to the first instruction's first word."""

    issue: int = 5
    """Of a unit's instruction, besides its patches."""

    restart: int = 7
    """Of whatever the sequencer does itself, until the next instruction's first word is there."""

    loop: int = 14
    trip: int = 11
    """LOOP, and each further trip."""

    calc: int = 9
    minimum: int = 3
    left: int = 2
    """CALC, besides a cycle for each bit of a shift; and more for MINIMUM and a left shift."""

    control: int = 6
    """CREDIT."""

    read: int = 9
    read_bus: int = 28
    number: int = 14
    """READ besides the bus; and behind VECTOR's last beat if it wants a number."""

    queue: int = 3
    """From the last word of an instruction to its unit's seeing it."""

    quiet: int = 8
    """From the last unit's being idle to BARRIER's or END's being done."""

    # -- semaphores (sequencer/semaphores.py, take.py) ---------------------------------------

    @property
    def hop(self) -> int:
        """From what a post guards to whoever waits for it: post, file, and the register stage."""
        return 4 + bool(self.config.vector.rows)

    take: int = 3
    """Cycles for each count of one waiter."""

    # -- the array ---------------------------------------------------------------------------

    feeder: int = 2
    """From an instruction's arrival to its first word, and between two, if nothing is ahead."""

    @property
    def array(self) -> int:
        """From a result's last word to its sums' being where the vector unit counts them."""
        stages = max(1, self.config.array.rows // 2)
        return stages + 10

    # -- vector and row unit (vector/block_loop.py, row_loop.py, value_path.py) --------------

    drain: int = 3
    """From accepting DRAIN to its first beat."""

    between: int = 2
    """Cycles between two DRAINs."""

    direct: int = 16
    long: int = 27
    """From the taking of a beat to its value in the normaliser, past functions and through them."""

    normalise: int = 7
    written: int = 3
    """From a block's last value to its first mantissas; from values to their being in memory."""

    wide_again: int = 16
    """From a beat to one that finds what it wrote to wide memory."""

    sample: int = 30
    """Of SAMPLE, and of each candidate."""

    sink: int = 12
    """Of a value that CANDIDATES keeps, besides the cycle that each one takes."""

    @property
    def sampler_queue(self) -> int:
        """Values that wait in front of the candidates."""
        return 4 * self.config.vector.lanes

    @property
    def word_beats(self) -> int:
        """Beats of an activation word."""
        return max(1, self.config.array.rows // self.config.vector.lanes)

    @property
    def clear(self) -> int:
        """Cycles behind a beat of the long way in which others go that way, too."""
        return self.long - self.direct + self.normalise + 128 // self.config.vector.lanes

    row: int = 6
    sweep: int = 1
    """Of ROW: to the first beat of an instruction, and between sweeps."""

    norm_factor: int = 75
    plain_factor: int = 50
    softmax_factor: int = 14
    """Of the serial unit that makes factors; the second without ``centre``."""

    # -- LOAD, STORE and the bus -------------------------------------------------------------

    transfer: int = 4
    """From LOAD or STORE to its first request, or word."""

    store_gap: int = 0

    burst: int = 2
    """From request to request."""

    @property
    def landing(self) -> int:
        """From the last beat of a run on the bus to its being in its memory."""
        return 6 + 3 * self.config.bus.codecs

    store: int = 9
    acknowledge: int = 6
    """From the reading of a burst's last word to its request; from its last beat to the answer."""
