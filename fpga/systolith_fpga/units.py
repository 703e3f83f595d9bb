"""The units of a core that can be synthesised and placed alone."""

from collections.abc import Callable

from amaranth.lib import wiring

from systolith_hw.array.engine import MatrixEngine
from systolith_hw.config import Config
from systolith_hw.control.block import ControlBlock
from systolith_hw.dma.load import LoadUnit
from systolith_hw.dma.store import StoreUnit
from systolith_hw.sequencer.semaphores import SemaphoreFile
from systolith_hw.sequencer.sequencer import Sequencer
from systolith_hw.top import Systolith
from systolith_hw.vector.unit import VectorUnit

__all__ = ["UNITS"]

UNITS: dict[str, Callable[[Config, str], wiring.Component]] = {
    "core": Systolith,
    "array": MatrixEngine,
    "vector": VectorUnit,
    "load": lambda config, target: LoadUnit(config),
    "store": lambda config, target: StoreUnit(config),
    "sequencer": lambda config, target: Sequencer(config),
    "semaphores": lambda config, target: SemaphoreFile(config),
    "control": lambda config, target: ControlBlock(config),
}
"""Each takes the config and the vendor whose cells it may use; "core" is everything."""
