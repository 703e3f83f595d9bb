"""Instructions that compute: of the array, the vector unit and the row unit."""

import typing
from typing import Unpack

from systolith_hw.config import HEAD_CHANNELS, SCALE_BITS
from systolith_hw.drain_rules import SHARED, mismatch
from systolith_hw.isa import DrainFunction, DrainKind, Opcode
from systolith_sim.vector.row import Factor

from .instructions import NONE, Instructions, Patches, Semaphores, require

__all__ = ["Compute"]

OPERANDS = (DrainKind.KEYS, DrainKind.VALUES)
SHARPNESS = Factor(0, 0)
"""That a patch brings."""


class Compute(Instructions):
    """The methods that append MATMUL, DRAIN, SAMPLE, NORM and SOFTMAX."""

    def matmul(
        self, *, steps: int, tokens: int = 1, groups: int = 1, tiles: int = 1,
        tiles_last: int | None = None, operand: int = 0, ring: tuple[int, int] | None = None,
        operand_stride: int = 0, activation: int = 0, activation_stride: int | None = None,
        numbered: int = 0, patches: Patches = NONE, **semaphores: Unpack[Semaphores],
    ) -> None:  # fmt: skip
        """Append MATMUL.

        By default the ring is the whole operand memory, the last group is like the others, and
        tokens and the operands of output tiles follow one another. ``numbered`` is a power of two
        of activation words for each channel of VECTOR's number, or 0.
        """
        memory = self.config.memory
        ring_base, ring_end = ring or (0, memory.operand_tiles)
        fields = {
            "operand": operand, "ring_base": ring_base, "ring_end": ring_end,
            "operand_stride": operand_stride, "activation": activation,
            "activation_stride": steps if activation_stride is None else activation_stride,
            "steps": steps, "tokens": tokens, "groups": groups, "tiles": tiles,
            "tiles_last": tiles if tiles_last is None else tiles_last,
            "numbered": numbered.bit_length(), **self._semaphore_fields(semaphores),
        }  # fmt: skip
        require(
            numbered == 0 or self.config.array.numbered,
            f"MATMUL.numbered must be 0, since array.numbered is false, not {numbered}",
        )
        require(
            numbered & numbered - 1 == 0 and numbered < 1 << 15,
            f"MATMUL.numbered must be a power of two below {1 << 15} or 0, not {numbered}",
        )
        self._check_ring(Opcode.MATMUL, ring_base, ring_end, memory.operand_tiles)
        self._check_depth(Opcode.MATMUL, "operand", operand, ring_end)
        self._check_depth(
            Opcode.MATMUL, "operand_stride", operand_stride, ring_end - ring_base + 1
        )
        self._check_depth(Opcode.MATMUL, "activation", activation, memory.activation_words)
        array = self.config.array
        longest = -(-array.max_k // array.rows)
        require(
            steps <= longest or "steps" in patches,
            f"MATMUL.steps must be at most {longest}, since array.max_k is {array.max_k}, "
            f"not {steps}",
        )
        self._append(Opcode.MATMUL, fields, patches)

    def drain(
        self, kind: DrainKind, *, tokens: int = 1, groups: int = 1, tiles: int = 1,
        tiles_last: int | None = None, columns_last: int | None = None, scale: int = 0,
        destination: int = 0, token_stride: int = 0, group_stride: int = 0,
        exponent_base: int = 0, function: DrainFunction = DrainFunction.NONE,
        accumulate: bool = False, factor: bool = False, maximum: bool = False,
        rotate: bool = False, scaled: bool = False, shift: int = 0, row: int = 0, offset: int = 0,
        entries: int = 0, patches: Patches = NONE, **semaphores: Unpack[Semaphores],
    ) -> None:  # fmt: skip
        """Append DRAIN, but for KEYS and VALUES.

        By default the last group is like the others, and all its columns valid.
        """
        columns, memory = self.config.array.columns, self.config.memory
        fields = {
            "kind": kind, "scale": scale, "destination": destination,
            "token_stride": token_stride, "group_stride": group_stride,
            "exponent_base": exponent_base, "function": function, "accumulate": accumulate,
            "factor": factor, "maximum": maximum, "rotate": rotate, "scaled": scaled,
            "shift": shift, "row": row, "offset": offset, "tokens": tokens, "groups": groups,
            "tiles": tiles, "tiles_last": tiles if tiles_last is None else tiles_last,
            "columns_last": columns if columns_last is None else columns_last,
            "entries": entries, **self._semaphore_fields(semaphores),
        }  # fmt: skip
        for name in ("function", "accumulate", "factor", "maximum", "rotate", "scaled"):
            require(
                not fields[name] or self.config.vector.rows > 0,
                f"there is no DRAIN.{name} with a vector.rows of 0",
            )
        require(
            kind not in OPERANDS, f"DRAIN.{DrainKind(kind).name} is what drain_operands appends"
        )
        self._check_kinds(fields)
        self._check_channels(kind, tiles)
        if kind == DrainKind.CANDIDATES:
            self._check_candidates(token_stride, patches)
        require(
            groups == 1 or not maximum, f"DRAIN.maximum is for one group, not for {groups}"
        )
        if factor or maximum or scaled or kind == DrainKind.MEASURED:
            self._check_rows(Opcode.DRAIN, row, tokens)
        last = fields["columns_last"]
        require(
            0 < last <= columns or "columns_last" in patches,
            f"DRAIN.columns_last must be in 1..{columns}, not {last}",
        )
        self._check_depth(Opcode.DRAIN, "scale", scale, memory.scale_words)
        depths = {
            DrainKind.ACTIVATION: memory.activation_words, DrainKind.WIDE: memory.wide_words,
            DrainKind.BEST: memory.wide_words, DrainKind.MEASURED: memory.wide_words,
        }  # fmt: skip
        if kind == DrainKind.MEASURED:
            self._check_depth(Opcode.DRAIN, "entries", entries, memory.activation_words)
        if kind in depths:
            self._check_depth(Opcode.DRAIN, "destination", destination, depths[kind])
        self._append(Opcode.DRAIN, fields, patches)

    def drain_operands(
        self, kind: DrainKind, *, destination: int, token_stride: int, entries: int,
        tokens: int = 1, groups: int = 1, tiles: int = 1, scale: int = 0, group_stride: int = 0,
        entries_stride: int = 0, lane: int = 0, offset: int = 0, exponent_base: int = 0,
        rotate: bool = False, scaled: bool = False, shift: int = 0, row: int = 0,
        patches: Patches = NONE, **semaphores: Unpack[Semaphores],
    ) -> None:  # fmt: skip
        """Append DRAIN of KEYS or VALUES; ``lane`` is the lane or row of the first token."""
        require(kind in OPERANDS, f"DRAIN.{DrainKind(kind).name} is what drain appends")
        array, memory = self.config.array, self.config.memory
        lanes = array.columns if kind == DrainKind.KEYS else array.rows
        fields = {
            "kind": kind, "scale": scale, "destination": destination,
            "token_stride": token_stride, "group_stride": group_stride,
            "exponent_base": exponent_base, "offset": offset, "tokens": tokens, "groups": groups,
            "tiles": tiles, "tiles_last": entries_stride, "columns_last": lane,
            "rotate": rotate, "scaled": scaled, "shift": shift, "row": row,
            "entries": entries, **self._semaphore_fields(semaphores),
        }  # fmt: skip
        self._check_kinds(fields)
        self._check_channels(kind, tiles)
        self._check_depth(Opcode.DRAIN, "lane", lane, lanes)
        self._check_depth(Opcode.DRAIN, "scale", scale, memory.scale_words)
        self._check_depth(Opcode.DRAIN, "destination", destination, memory.operand_tiles)
        channels = memory.scale_words * self.config.vector.lanes
        self._check_depth(Opcode.DRAIN, "entries", entries, channels)
        self._append(Opcode.DRAIN, fields, patches, counts=("tokens", "groups", "tiles"))

    def _check_channels(self, kind: DrainKind, tiles: int) -> None:
        """Refuse more channels than may share an exponent."""
        columns = self.config.array.columns
        require(
            kind not in SHARED or tiles * columns <= HEAD_CHANNELS,
            f"DRAIN.tiles must be at most {HEAD_CHANNELS // columns}, {HEAD_CHANNELS} "
            f"channels, not {tiles}",
        )

    def sample(
        self, *, destination: int, sharpness: Factor = SHARPNESS, seed: int = 0,
        position: int = 0, patches: Patches = NONE, **semaphores: Unpack[Semaphores],
    ) -> None:  # fmt: skip
        """Append SAMPLE; a patch of ``sharpness`` brings scale and shift at once."""
        self._check_opcode(Opcode.SAMPLE)
        self._check_depth(
            Opcode.SAMPLE, "destination", destination, self.config.memory.wide_words
        )
        self._append(Opcode.SAMPLE, {
            "destination": destination, "seed": seed, "position": position,
            "sharpness": sharpness.scale, "sharpness_shift": sharpness.shift,
            **self._semaphore_fields(semaphores),
        }, patches)  # fmt: skip

    def _check_candidates(self, kept: int, patches: Patches) -> None:
        most = self.config.vector.candidates
        require(most > 0, "there is no DRAIN.CANDIDATES with a vector.candidates of 0")
        require(
            1 <= kept <= most or "token_stride" in patches,
            f"DRAIN.token_stride must be in 1..{most}, vector.candidates, for CANDIDATES, not "
            f"{kept}",
        )

    def _check_kinds(self, fields: dict[str, typing.Any]) -> None:
        """Refuse kinds that are not there, and options that do not go together."""
        kind = DrainKind(fields["kind"])
        require(
            kind < DrainKind.KEYS or self.config.vector.rows > 0,
            f"there is no DRAIN.{kind.name} with a vector.rows of 0",
        )
        for used, name in (
            (fields["scaled"], "scaled"), (kind == DrainKind.MEASURED, "MEASURED"),
        ):  # fmt: skip
            require(
                not used or self.config.vector.deferred_norms,
                f"there is no DRAIN.{name} without vector.deferred_norms",
            )
        wrong = mismatch(fields, self.config.vector.lanes)
        require(not wrong, f"DRAIN: {wrong}")

    def norm(
        self, *, elements: int, inverse: Factor, epsilon: int, source: int, destination: int,
        scale: int = 0, tokens: int = 1, source_stride: int = 0, token_stride: int = 0,
        exponent_base: int = 0, centre: bool = True, back: bool = False, defer: bool = False,
        row: int = 0,
        patches: Patches = NONE, **semaphores: Unpack[Semaphores],
    ) -> None:  # fmt: skip
        """Append NORM; ``inverse`` is 1 / elements."""
        fields = {
            **self._row_fields(
                Opcode.NORM, scale, destination, token_stride, source, source_stride, tokens,
                elements, patches,
            ),
            "exponent_base": exponent_base, "centre": centre, "back": back, "defer": defer,
            "row": row,
            "inverse": inverse.scale, "inverse_shift": inverse.shift, "epsilon": epsilon,
            **self._semaphore_fields(semaphores),
        }  # fmt: skip
        require(
            bool(inverse.scale >> SCALE_BITS - 1),
            f"NORM.inverse must have bit {SCALE_BITS - 1} set, not be {inverse.scale:#x}",
        )
        require(epsilon > 0, f"NORM.epsilon must be at least 1, not {epsilon}")
        if defer:
            require(
                self.config.vector.deferred_norms,
                "there is no NORM.defer without vector.deferred_norms",
            )
            require(not centre and not back, "NORM.defer is for a NORM without centre and back")
            self._check_rows(Opcode.NORM, row, tokens)
        self._append(Opcode.NORM, fields, patches)

    def softmax(
        self, *, elements: int, source: int, destination: int, scale: int = 0, tokens: int = 1,
        source_stride: int = 0, token_stride: int = 0, exponent_base: int = 0, row: int = 0,
        causal: int = 0, scale_stride: int = 0,
        patches: Patches = NONE, **semaphores: Unpack[Semaphores],
    ) -> None:  # fmt: skip
        """Append SOFTMAX."""
        fields = {
            **self._row_fields(
                Opcode.SOFTMAX, scale, destination, token_stride, source, source_stride, tokens,
                elements, patches,
            ),
            "exponent_base": exponent_base, "row": row, "causal": causal,
            "scale_stride": scale_stride,
            **self._semaphore_fields(semaphores),
        }  # fmt: skip
        self._check_rows(Opcode.SOFTMAX, row, tokens)
        self._append(Opcode.SOFTMAX, fields, patches)

    def _row_fields(
        self, opcode: Opcode, scale: int, destination: int, token_stride: int, source: int,
        source_stride: int, tokens: int, elements: int, patches: Patches,
    ) -> dict[str, int]:  # fmt: skip
        """Return the fields that NORM and SOFTMAX share."""
        self._check_opcode(opcode)
        memory, most = self.config.memory, self.config.array.max_k
        self._check_depth(opcode, "scale", scale, memory.scale_words)
        self._check_depth(opcode, "destination", destination, memory.activation_words)
        self._check_depth(opcode, "source", source, memory.wide_words)
        require(
            elements <= most or "elements" in patches,
            f"{opcode.name}.elements must be at most array.max_k, {most}, not {elements}",
        )
        return {
            "scale": scale, "destination": destination, "token_stride": token_stride,
            "source": source, "source_stride": source_stride, "tokens": tokens,
            "elements": elements,
        }  # fmt: skip

    def _check_rows(self, opcode: Opcode, row: int, tokens: int) -> None:
        rows = self.config.vector.rows
        require(
            0 <= row and row + tokens <= rows,
            f"{opcode.name}: rows {row} to {row + tokens - 1} do not fit vector.rows, {rows}",
        )
