"""What LOAD and STORE share: runs in external memory, and their elements."""

from collections.abc import Iterator

from systolith_hw.code_pages import PARAMETER_BITS, CodePage
from systolith_hw.config import Config
from systolith_hw.isa import ErrorCode, LoadKind, StoreKind

from ..dma.pages import page_bytes
from .races import Timeline
from .run import Run, require
from .scheduler import Job

__all__ = ["load_bytes", "require_transfer", "runs", "store_bytes"]


def require_transfer(run: Run, line: Timeline, job: Job, size: int) -> None:
    """Refuse what can be seen before the first run, of elements of together ``size`` bytes."""
    f, bus = job.fields, run.config.bus
    for name in ("address", "row_stride"):
        require(
            f[name] % bus.data_bytes == 0, line, ErrorCode.MISALIGNED,
            f"{name} {f[name]:#x} is not a multiple of the port's {bus.data_bytes} bytes",
        )  # fmt: skip
    room = f["beats"] * bus.data_bytes
    require(
        size <= room, line, ErrorCode.ZERO_COUNT,
        f"{f['elements']} elements of together {size} bytes do not fit a run of {room}",
    )  # fmt: skip


def runs(run: Run, line: Timeline, job: Job, code: ErrorCode) -> Iterator[int]:
    """Yield the byte address of each run; ``code`` is the bus's error beyond memory's end."""
    f, bus = job.fields, run.config.bus
    for row in range(f["rows"]):
        address = f["address"] + row * f["row_stride"]
        end = address + f["beats"] * bus.data_bytes
        require(
            end <= 1 << bus.address_bits, line, ErrorCode.ADDRESS_RANGE,
            f"row {row} ends at {end:#x}, beyond {bus.address_bits} address bits",
        )  # fmt: skip
        require(
            end <= run.external.size, line, code,
            f"row {row} ends at {end:#x}, beyond the memory of {run.external.size} bytes",
        )  # fmt: skip
        yield address


def load_bytes(config: Config, kind: LoadKind, elements: int) -> int:
    """Return the bytes of a run of ``elements`` elements of one kind of LOAD."""
    if kind == LoadKind.ACTIVATION:
        return page_bytes(config, elements)
    if kind in PARAMETER_BITS:
        return CodePage(config, kind).run_bytes(elements)
    return elements * {
        LoadKind.OPERAND_ROWS: config.row_write_bytes,
        LoadKind.OPERAND_COLUMNS: config.array.word_bytes,
        LoadKind.WIDE: config.wide_word_bytes,
        LoadKind.SCALE: config.scale_word_bytes,
    }[kind]


def store_bytes(config: Config, kind: StoreKind, elements: int) -> int:
    """Return the bytes of a run of ``elements`` words of one kind of STORE."""
    if kind == StoreKind.STREAM:
        return page_bytes(config, elements)
    return elements * config.wide_word_bytes
