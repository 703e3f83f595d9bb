"""What every operator computes, in numpy.

A function takes a node's attributes and the values of its inputs, None for those that are not
there, and returns its output, or a sequence of them.
"""

from .decoder import DECODER
from .elementwise import ELEMENTWISE
from .fused import FUSED
from .matrices import MATRICES
from .reductions import REDUCTIONS
from .selections import SELECTIONS
from .shapes import SHAPES

__all__ = ["OPERATORS"]

OPERATORS = {**ELEMENTWISE, **MATRICES, **REDUCTIONS, **SELECTIONS, **SHAPES, **FUSED, **DECODER}
