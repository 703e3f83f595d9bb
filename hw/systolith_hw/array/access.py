"""What enters the array at the top and moves down it, one stage of rows per cycle."""

from amaranth.lib import data

from ..config import WEIGHT_BITS, Config

__all__ = ["access", "control_word", "stages"]


def stages(config: Config) -> int:
    """Return the number of stages."""
    return config.array.rows // config.rows_per_stage


def control_word(config: Config) -> data.StructLayout:
    """Return the shape of a read across all rows.

    Activation word ``activation`` times operand tile ``operand`` is added to the sums;
    ``last`` makes the sums a result.
    """
    return data.StructLayout({
        "last": 1,
        "operand": range(config.memory.operand_tiles),
        "activation": range(config.memory.activation_words),
    })


def access(config: Config, row: int) -> data.StructLayout:
    """Return the shape of all accesses of one cycle, as they reach ``row``.

    Up to three accesses travel side by side, each with its strobe:

    * ``strobe.read`` carries out a :func:`control_word`, ``control``.
    * ``strobe.row`` writes ``data`` to the banks of ``group``, ``strobe.column`` the mantissas'
      low bits to ``lane`` of all banks, both at operand tile ``tile``; never both at once. With
      ``vector.rows`` only those banks of the group are written that ``slots`` names, and of these
      the L columns of each of ``parts``.
    * ``strobe.word`` writes the mantissas and the exponent to activation word ``word``.

    Mantissas leave the bus row by row as they are delivered: the lowest is the one for ``row``.
    Row ``config.array.rows`` is the bank of exponents, which takes what is left.

    A single-port operand memory never reads and writes at once, so there ``control.operand`` is
    the address of both and ``tile`` does not exist; and since a write takes a read's place, no two
    writes enter together: ``data`` carries the mantissas too, of all rows, and ``mantissas`` does
    not exist.

    ``data`` and ``mantissas`` are plain bits, since every field of every row is named in Verilog.
    """
    array, memory = config.array, config.memory
    fields: dict[str, data.ShapeLike] = {
        "strobe": data.StructLayout({"read": 1, "row": 1, "column": 1, "word": 1}),
        "control": control_word(config),
        "word": range(memory.activation_words),
        "exponent": array.exponent_bits,
    }
    if row < array.rows:
        groups = array.rows // config.write_rows
        row_bits = config.write_rows * array.columns * WEIGHT_BITS
        fields |= {
            "group": range(max(groups, 2)),  # of one group, still a bit
            "lane": range(array.columns),
        }
        if config.vector.rows:
            fields |= {"slots": config.write_rows, "parts": config.beats_per_result}
        if memory.operand_single_port:
            fields["data"] = max(row_bits, array.rows * array.mantissa_bits)
        else:
            fields |= {
                "data": row_bits,
                "mantissas": (array.rows - row) * array.mantissa_bits,
                "tile": range(memory.operand_tiles),
            }
    return data.StructLayout(fields)
