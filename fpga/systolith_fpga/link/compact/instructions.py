"""Instructions of the compact endpoint, and how a program becomes the words of a ROM."""

import enum

__all__ = [
    "PROGRAM_WORDS",
    "Condition",
    "Function",
    "Kind",
    "Program",
    "Source",
    "Start",
    "Target",
]

PROGRAM_WORDS = 512
"""Of 16 bits: two blocks of an iCE40."""


class Kind(enum.IntEnum):
    """Bits 15:14. Bits 7:0 are a number or an address in memory; 8:0 are where a jump goes."""

    COMPUTE = 0
    MOVE = 1
    JUMP = 2
    CHECK = 3


class Source(enum.IntEnum):
    """Bits 13:11 of COMPUTE: the second operand; the first one is the accumulator."""

    NUMBER = 0
    MEMORY = 1
    NEXT = 2  # memory at the pointer, which moves on
    RING = 3  # the oldest byte that came; it is taken if the number is 1
    WORD = 4  # the word's lowest byte; the word is shifted


class Function(enum.IntEnum):
    """Bits 9:8 of COMPUTE, which sets zero and carry; with bit 10, the accumulator, too."""

    LOAD = 0
    ADD = 1
    SUBTRACT = 2  # carry: nothing was borrowed
    BORROW = 3  # subtract, less what was borrowed


class Target(enum.IntEnum):
    """Bits 13:11 of MOVE: where the accumulator goes."""

    POINTER = 0
    MEMORY = 1
    NEXT = 2  # memory at the pointer, which moves on
    LOW = 3  # of the address
    HIGH = 4
    WORD = 5  # its highest byte; the others move down
    LINE = 6  # the program waits for it
    START = 7  # begin an access, :class:`Start`; the program waits for its end


class Start(enum.IntEnum):
    """The number of a MOVE to START."""

    LOAD = 1
    STORE = 2
    READ = 4
    WRITE = 8


class Condition(enum.IntEnum):
    """Bits 11:9 of JUMP, which goes if this is bit 13."""

    ALWAYS = 0
    ZERO = 1
    CARRY = 2
    EMPTY = 3  # nothing has come
    INTERRUPT = 4
    FAILED = 5  # the last access of memory
    UNKNOWN = 6  # there is no register at the address
    RIGHT = 7  # what went through the check ends with its CRC


class Program:
    """Instructions, written one after the other.

    A name is where a jump goes, or a variable, which gets a place in memory.

    Parameters
    ----------
    variables : int
        The first place in memory for variables.
    """

    def __init__(self, variables: int) -> None:
        self._words: list[tuple[int, int | str]] = []
        self._labels: dict[str, int] = {}
        self._places: dict[str, int] = {}
        self._variables = variables

    def label(self, name: str) -> None:
        """Name the next instruction."""
        self._labels[name] = len(self._words)

    def compute(
        self, function: Function, value: int | str, source: Source | None = None, *,
        keep: bool = True,
    ) -> None:  # fmt: skip
        """Compute with a number, a variable's value, or what ``source`` says."""
        if source is None:
            source = Source.MEMORY if isinstance(value, str) else Source.NUMBER
        number = self._place(value) if isinstance(value, str) else value
        self._add(Kind.COMPUTE << 14 | source << 11 | keep << 10 | function << 8, number)

    def load(self, value: int | str, source: Source | None = None) -> None:
        """Put something into the accumulator."""
        self.compute(Function.LOAD, value, source)

    def compare(self, value: int | str) -> None:
        """Subtract, for zero and carry only: carry says that nothing was borrowed."""
        self.compute(Function.SUBTRACT, value, keep=False)

    def store(self, *names: int | str) -> None:
        """Put the accumulator into variables or memory."""
        for name in names:
            self.move(Target.MEMORY, self._place(name) if isinstance(name, str) else name)

    def move(self, target: Target, number: int = 0) -> None:
        """Put the accumulator somewhere."""
        self._add(Kind.MOVE << 14 | target << 11, number)

    def jump(
        self, where: str, condition: Condition = Condition.ALWAYS, *, unless: bool = False
    ) -> None:
        """Go on at a label."""
        self._add(Kind.JUMP << 14 | (not unless) << 13 | condition << 9, where)

    def check(self) -> None:
        """Let the accumulator go through the check."""
        for _ in range(8):
            self._add(Kind.CHECK << 14, 0)

    def take_check(self) -> None:
        """Put the check's lowest byte into the accumulator, and shift the check."""
        for _ in range(8):
            self._add(Kind.CHECK << 14 | 1 << 8, 0)

    def begin_check(self) -> None:
        """Begin a check anew."""
        self._add(Kind.CHECK << 14 | 2 << 8, 0)

    def words(self) -> list[int]:
        """Return the ROM's contents.

        Raises
        ------
        ValueError
            It is too long, or a number does not fit its place.
        """
        if len(self._words) > PROGRAM_WORDS:
            raise ValueError(f"a program has {PROGRAM_WORDS} words, not {len(self._words)}")
        return [self._word(*parts) for parts in self._words]

    def _word(self, word: int, number: int | str) -> int:
        """Return an instruction with its number, or with the place of its label."""
        limit = PROGRAM_WORDS if isinstance(number, str) else 1 << 8
        value = self._labels[number] if isinstance(number, str) else number
        if not 0 <= value < limit:
            raise ValueError(f"{number} of a program must be in 0..{limit - 1}, not {value}")
        return word | value

    def _place(self, name: str) -> int:
        return self._places.setdefault(name, self._variables + len(self._places))

    def _add(self, word: int, number: int | str) -> None:
        self._words.append((word, number))
