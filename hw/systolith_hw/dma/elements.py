"""What LOAD's kinds are made of."""

from ..code_pages import code_pages
from ..config import SCALE_ENTRY_BYTES, Config
from ..isa import LoadKind

__all__ = ["element_bytes", "memory_depth", "page_shapes", "pieces", "places", "written_bytes"]


def element_bytes(config: Config) -> dict[LoadKind, int]:
    """Return the bytes of an element in external memory."""
    return {
        LoadKind.OPERAND_ROWS: config.row_write_bytes,
        LoadKind.OPERAND_COLUMNS: config.array.word_bytes,
        LoadKind.ACTIVATION: config.array.word_bytes,
        LoadKind.WIDE: config.wide_word_bytes,
        LoadKind.SCALE: config.scale_word_bytes,
        **{kind: page.element_bytes for kind, page in code_pages(config).items()},
    }


def written_bytes(config: Config) -> dict[LoadKind, int]:
    """Return the bytes that are written at once: an element, or a part of a scale word."""
    part = config.scale_write_lanes * SCALE_ENTRY_BYTES
    return {**element_bytes(config), LoadKind.SCALE: part}


def pieces(config: Config) -> dict[LoadKind, int]:
    """Return how many pieces, beats or less, an element arrives in."""
    return {
        kind: max(1, size // config.bus.data_bytes) for kind, size in element_bytes(config).items()
    }


def places(config: Config) -> dict[LoadKind, int]:
    """Return the first bit of what is written, where pieces enter at the top and move down."""
    port, sizes = config.bus.data_bytes, written_bytes(config)
    longest = max(sizes.values())
    return {kind: max(0, longest - max(size, port)) * 8 for kind, size in sizes.items()}


def page_shapes(config: Config) -> dict[LoadKind, tuple[int, int]]:
    """Return, for kinds that come in pages, the elements of a header and those behind it."""
    return {
        LoadKind.ACTIVATION: (1, config.array.rows),
        **{kind: (page.header, page.elements) for kind, page in code_pages(config).items()},
    }


def memory_depth(config: Config) -> dict[LoadKind, int]:
    """Return the number of addresses of the memory that is written."""
    return {
        LoadKind.OPERAND_ROWS: config.memory.operand_tiles,
        LoadKind.OPERAND_COLUMNS: config.memory.operand_tiles,
        LoadKind.ACTIVATION: config.memory.activation_words,
        LoadKind.WIDE: config.memory.wide_words,
        LoadKind.SCALE: config.memory.scale_words,
        **dict.fromkeys(code_pages(config), config.memory.operand_tiles),
    }
