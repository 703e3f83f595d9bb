"""How many cycles everything takes that is not work: one table, in terms of the configuration.

Numbers are those that the hardware's docstrings give, or sums of them along a way.
"""

from systolith_hw.config import NORMAL_BITS, SCALE_BITS, Config

from ..dram_timing import DramTiming

__all__ = ["Latencies"]


class Latencies:
    """The latencies of one configuration.

    Parameters
    ----------
    config : Config
        With ``vector.rows``.
    dram : DramTiming
    """

    def __init__(self, config: Config, dram: DramTiming) -> None:
        self.config = config
        self._dram = dram

    # -- the sequencer (sequencer/issue.py, loops.py, calc.py, outside.py, queue.py) ---------

    start = 9
    """From the start write to the first instruction's first word."""

    issue = 5
    """Of a unit's instruction, besides its patches."""

    restart = 7
    """Of whatever the sequencer does itself, until the next instruction's first word is there."""

    loop = 14
    """LOOP."""

    trip = 11
    """Each further trip of a loop."""

    calc = 7
    """CALC, besides a cycle for each bit of a shift."""

    shift = 2
    """CALC with a shift takes so many more."""

    minimum = 5
    """CALC of MINIMUM takes so many more."""

    follow = 3
    """From CALC to the next instruction's first word, but at the end of a loop's body, where that
    takes as long as behind others."""

    left = 2
    """CALC with a left shift takes so many more."""

    credit = 6
    """CREDIT, besides its counts."""

    read = 9
    """READ, besides the bus."""

    @property
    def read_bus(self) -> int:
        """From asking the bus for a word to having it."""
        return self._dram.latency + 8

    number = 14
    """From VECTOR's last beat to READ's having its number."""

    fresh = 3
    """From a number's being written to READ of a fresh one having it."""

    queue = 3
    """From the last word of an instruction to its unit's seeing it."""

    quiet = 8
    """From the last unit's being idle to BARRIER's or END's being done."""

    # -- semaphores (sequencer/semaphores.py, take.py) ---------------------------------------

    hop = 5
    """From what a post guards to whoever waits for it: post, file, and the register stage."""

    # -- the array (array/feeder.py, engine.py) ----------------------------------------------

    feeder = 2
    """From an instruction's arrival to its first word, if nothing is under way."""

    @property
    def array(self) -> int:
        """From a result's last word to its sums' being where the vector unit counts them."""
        return self.config.array.rows // self.config.rows_per_stage + 10

    # -- vector and row unit (vector/block_loop.py, row_loop.py, value_path.py) --------------

    drain = 3
    """From accepting DRAIN to its first beat."""

    between = 2
    """Cycles between two DRAINs."""

    @property
    def direct(self) -> int:
        """From the taking of a beat to its value in the normaliser, past functions."""
        return 16 + self.config.wide_is_far

    @property
    def long(self) -> int:
        """The same through functions."""
        return 27 + self.config.wide_is_far

    @property
    def clear(self) -> int:
        """Cycles in which others go the long way, too, behind one that does, or that and as many
        as its block has beats."""
        return self.long - self.direct + self.normalise + self.word_beats + 2

    normalise = 7
    """From a block's last value to its first mantissas."""

    written = 3
    """From values to their being in memory."""

    @property
    def wide_again(self) -> int:
        """From a beat to one that finds what it wrote to wide memory."""
        return 16 + self.config.wide_is_far

    @property
    def word_beats(self) -> int:
        """Beats of an activation word."""
        return max(1, self.config.array.rows // self.config.vector.lanes)

    row = 6
    """From accepting NORM or SOFTMAX to its first beat."""

    sweep = 1
    """Cycles between two sweeps of those."""

    @property
    def norm_factor(self) -> int:
        """Of the serial unit that makes factors: mean and deviation."""
        return 33 + 3 * self._product + self._root + self._quotient

    @property
    def plain_factor(self) -> int:
        """The same without ``centre``."""
        return 20 + self._product + self._root + self._quotient

    @property
    def softmax_factor(self) -> int:
        """Of the same unit: the reciprocal of a sum."""
        return 6 + self._quotient

    @property
    def _product(self) -> int:
        return NORMAL_BITS // self.config.vector.multiplier_bits

    @property
    def _root(self) -> int:
        return SCALE_BITS // self.config.vector.factor_steps

    @property
    def _quotient(self) -> int:
        return SCALE_BITS // 2 // self.config.vector.factor_steps

    # -- the sampler (sampling/candidate_heap.py, choice.py) ---------------------------------

    sample = 30
    """Of SAMPLE, and of each candidate."""

    sink = 12
    """Of a value that CANDIDATES keeps, besides the cycle that each one takes."""

    @property
    def sampler_queue(self) -> int:
        """Values that wait in front of the heap."""
        return 4 * self.config.vector.lanes

    # -- LOAD, STORE and the bus (dma/load.py, store.py) -------------------------------------

    transfer = 4
    """From LOAD or STORE to its first request, or word."""

    burst = 2
    """From request to request."""

    @property
    def landing(self) -> int:
        """From the last beat of a run on the bus to its being in its memory."""
        return 6 + 3 * self.config.bus.codecs

    store = 9
    """From the reading of a burst's last word to its request."""

    acknowledge = 6
    """From a burst's last beat to the answer's arrival."""
