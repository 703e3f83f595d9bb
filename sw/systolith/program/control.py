"""Instructions of the sequencer itself."""

import contextlib
from collections.abc import Iterator

from systolith_hw.isa import CalcOperation, Opcode
from systolith_sim.sequencer import READ_BYTES

from .instructions import NONE, Instructions, Patches, require

__all__ = ["Control"]


class Control(Instructions):
    """The methods that append control instructions."""

    def end(self) -> None:
        """Wait until every unit is idle, raise done, stop."""
        self._append(Opcode.END, {})

    def barrier(self) -> None:
        """Wait until every unit is idle."""
        self._append(Opcode.BARRIER, {})

    def calc(
        self, target: int, a: int = 0, b: int = 0, immediate: int = 0, *, right: int = 0,
        left: int = 0,
    ) -> None:  # fmt: skip
        """Append ``r[target] = ((r[a] + r[b] + immediate) >> right) << left``."""
        self._calculate(CalcOperation.ADD, target, a, b, immediate, right, left)

    def minimum(
        self, target: int, a: int, b: int, immediate: int = 0, *, right: int = 0, left: int = 0
    ) -> None:
        """Append ``r[target] = (min(r[a] + immediate, r[b]) >> right) << left``, unsigned."""
        require(
            not self.config.sequencer.instructions_stand,
            "there is no CALC.MINIMUM with a sequencer.queue_depth of 1",
        )
        self._calculate(CalcOperation.MINIMUM, target, a, b, immediate, right, left)

    def read(self, target: int, a: int = 0, immediate: int = 0) -> None:
        """Append ``r[target] = the word of external memory at r[a] + immediate``."""
        require(
            a != 0 or immediate % READ_BYTES == 0,
            f"READ.immediate must be a multiple of {READ_BYTES}, not {immediate:#x}",
        )
        self._append(Opcode.READ, {"target": target, "a": a, "immediate": immediate})

    def read_number(self, target: int, *, fresh: bool = False) -> None:
        """Append ``r[target] = the number that BEST or SAMPLE wrote last``, of all that VECTOR has
        been given so far, or with ``fresh`` the first one behind that of the last such READ."""
        require(
            self.config.vector.rows > 0, "there is no READ.number with a vector.rows of 0"
        )
        self._append(Opcode.READ, {"target": target, "number": 1, "fresh": fresh})

    def credit(self, semaphore: int, count: int = 1, *, patches: Patches = NONE) -> None:
        """Give ``count`` counts to a semaphore."""
        limit = self.config.sequencer.semaphores
        require(
            0 <= semaphore < limit,
            f"CREDIT.semaphore must name one of {limit} semaphores, not {semaphore}",
        )
        fields = {"semaphore": semaphore, "count": count}
        self._append(Opcode.CREDIT, fields, patches, counts=("count",))

    @contextlib.contextmanager
    def loop(
        self, count: int = 0, *, count_register: int = 0, counter: int = 0, initial: int = 0,
        step: int = 0, patches: Patches = NONE,
    ) -> Iterator[None]:  # fmt: skip
        """Repeat what the ``with`` block appends ``count + r[count_register]`` times.

        ``r[counter]`` starts at ``r[initial]`` and grows by ``step``.
        """
        depth, size = self.config.sequencer.loop_depth, self.config.memory.program_instructions
        require(
            self._open_loops < depth,
            f"LOOP: sequencer.loop_depth allows {depth} loops inside each other",
        )
        fields = {
            "count": count, "count_register": count_register, "counter": counter,
            "initial": initial, "step": step,
        }  # fmt: skip
        self._append(Opcode.LOOP, fields, patches)
        start = len(self)
        self._open_loops += 1
        yield
        self._open_loops -= 1
        body = len(self) - start
        require(
            1 <= body <= size,
            f"LOOP.body must be in 1..{size} (memory.program_instructions), not {body}",
        )
        self.longest_loop = max(self.longest_loop, body)
        self._instructions[start - 1][1]["body"] = body

    def _calculate(
        self, operation: CalcOperation, target: int, a: int, b: int, immediate: int, right: int,
        left: int,
    ) -> None:  # fmt: skip
        fields = {
            "target": target, "a": a, "b": b, "right": right, "immediate": immediate, "left": left,
            "operation": operation,
        }  # fmt: skip
        self._append(Opcode.CALC, fields)
