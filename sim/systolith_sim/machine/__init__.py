"""The functional machine: the instruction set as an executable specification.

:class:`Machine` executes a program bit for bit as the hardware does, without time. Each unit
executes its own queue of instructions in order, one Python generator per unit; a unit that
cannot go on yields the reason as a sentence. What an instruction does stands in one function:

=========== ================================================
``array``   MATMUL
``vector``  DRAIN
``row``     NORM, SOFTMAX
``load``    LOAD
``store``   STORE
=========== ================================================

The control instructions are :mod:`systolith_sim.sequencer`, but for what READ and CREDIT touch,
which is in ``sequencer`` here. Two checks run along, and refuse
programs that could give other results, or none, on hardware:

* ``tokens`` and ``scheduler`` play with the real sizes of queues, FIFOs and semaphores:
  :class:`Deadlock` says which unit waits for what;
* ``races`` follows what the semaphores order: :class:`Race` names two instructions that may
  touch the same place in either order.
"""

from .machine import Machine, RunResult
from .memory import ExternalMemory
from .races import Race
from .scheduler import Deadlock, Leftover

__all__ = ["Deadlock", "ExternalMemory", "Leftover", "Machine", "Race", "RunResult"]
