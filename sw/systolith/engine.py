"""Run a person's model: the host's nodes in numpy, stacks of layers on the core."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import ConfigError
from systolith_hw.tables import FRACTION
from systolith_sim.device.device import Device

from .accuracy import Signal
from .device_encoder import DeviceEncoder
from .encoder import MachineEncoder, batches
from .engine_report import EngineReport
from .graph.executor import run
from .graph.graph import GraphError, Node
from .graph.key_mask import visible_tokens
from .graph.model_inputs import named_inputs, to_array
from .language_engine import LanguageEngine
from .link.ports import is_port
from .model_program import ModelProgram
from .progress import Progress
from .workload import CLOCK_MHZ, clock_mhz_of, moved_bytes, open_device

__all__ = ["InferenceEngine"]

DEVICES = ("machine", "rtl")


class InferenceEngine:
    """A model that can be called.

    Parameters
    ----------
    program : ModelProgram
    device : str
        "machine", the functional machine; "rtl", the generated Verilog in a simulator; or the
        serial port of a board, such as "/dev/ttyUSB0". All give the same bits, but the machine has
        no cycles. A board has one memory: a model of several stacks brings each there when it runs.
    simulator : str
        "verilator" or "icarus".
    progress : Progress

    Raises
    ------
    ConfigError
        If there is no such device.
    """

    def __init__(
        self, program: ModelProgram, device: str = "machine", *, simulator: str = "verilator",
        progress: Progress | None = None,
    ) -> None:  # fmt: skip
        if device not in DEVICES and not is_port(device):
            raise ConfigError(
                f"there is no device {device}; known are {', '.join(DEVICES)}, and serial ports "
                "such as /dev/ttyUSB0"
            )
        self.program = program
        self.device = device
        self._simulator = simulator if device == "rtl" else device
        self._progress = progress or Progress()
        self._open: list[Device] = []
        self._runners: dict[int, MachineEncoder | DeviceEncoder] = {}
        self._counts: Counter[str] = Counter()
        self._runs = self._calls = 0
        self._language = program.language and LanguageEngine(
            program.language, "" if device == "machine" else self._simulator, self._progress
        )
        self._last: dict[str, NDArray] = {}
        self._made: dict[str, NDArray] = {}

    def __enter__(self) -> Self:
        """Return the engine."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close simulated cores and boards."""
        self.close()

    def close(self) -> None:
        """Close simulated cores and boards; they are opened again when needed."""
        for device in self._open:
            device.close()
        self._open, self._runners = [], {}
        if self._language:
            self._language.close()

    @property
    def clock_mhz(self) -> float:
        """Clock of the board, while it is open; else that at which cycles are told as time."""
        opened = [*self._open, *(self._language.opened if self._language else [])]
        return next((clock_mhz_of(device, None) for device in opened), CLOCK_MHZ)

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        """Return the model's output for inputs in order or by name; a tuple if it has several.

        Arrays come out, or tensors of torch's if such went in. Tokens that a mask hides are zero
        behind a stack.

        Raises
        ------
        GraphError
            If an input is missing, or has another type or shape than the model says.
        """
        first = (*inputs, *named.values())[:1]
        given = inputs[0] if len(inputs) == 1 and not named else list(inputs)
        if named:
            given = {**dict(zip(self.program.graph.inputs, inputs, strict=False)), **named}
        graph = self.program.parts.graph
        self._last = named_inputs(graph, given)
        self._made = {}
        self._calls += 1
        handlers = {"EncoderStack": self._stack, "DecoderStack": self._decoder}
        values = run(graph, self._last, handlers=handlers)
        self._made |= values
        outputs = tuple(_like(values[name], first) for name in graph.outputs)
        return outputs[0] if len(outputs) == 1 else outputs

    def generate(self, prompt: Any, count: int) -> list[int]:
        """Return ``count`` tokens behind a prompt, the likeliest ones, which the core makes alone.

        Raises
        ------
        ConfigError
            If the core has no language model, or no room for so many tokens, or a token is none.
        """
        if not self._language:
            raise ConfigError(
                "the model is no language model on the core, which could generate tokens; call the "
                "engine, and see its report for what was recognised"
            )
        tokens = to_array(prompt)
        if tokens.ndim != 1 or (tokens.size and tokens.dtype.kind not in "iu"):
            raise ConfigError(
                f"a prompt is one row of token numbers, not {tokens.dtype}{list(tokens.shape)}"
            )
        return self._language.generate(tokens.tolist(), count)

    def report(self) -> EngineReport:
        """Return where everything ran, how long it took, and how close to float the last call was.

        Raises
        ------
        ConfigError
            If nothing has run yet.
        """
        runs, counts = self._runs, self._counts.copy()
        if self._language:
            runs, counts = runs + self._language.runs, counts + self._language.counts
        if not self._calls and not runs:
            raise ConfigError("the engine has not run yet; call it with inputs first")
        program = self.program
        exact = program.run_float(self._last, list(self._made))
        same = {name: value.shape == exact[name].shape for name, value in self._made.items()}
        signals = [Signal.measure(name, value, exact[name])
                   for name, value in self._made.items() if same[name]]  # fmt: skip
        return EngineReport(
            device=self.device, calls=self._calls, runs=runs, cycles=counts.get("CYCLES"),
            moved_bytes=moved_bytes(program.config, counts),
            parts=program.parts, signals=signals, accuracy=program.accuracy,
            plans=[stack.choice for stack in program.stacks if stack.choice],
            uncompared=[name for name, fits in same.items() if not fits],
        )  # fmt: skip

    def _stack(self, node: Node, values: Sequence[NDArray | None]) -> list[NDArray]:
        """Run a stack on the core."""
        x, mask = (*values, None)[:2]
        assert x is not None
        if not np.isfinite(x).all():
            raise GraphError(
                f"what the core is given in front of {node.output} has numbers that are not "
                "finite; look for them among the inputs"
            )
        number = node.attributes["stack"]
        visible = visible_tokens(mask, *x.shape[:2])
        empty = np.flatnonzero(~visible.any(axis=1))
        if empty.size:
            raise GraphError(
                f"the mask hides all tokens of sentence {empty[0]} of the batch, of which the core "
                f"computes nothing in front of {node.output}; leave the sentence out"
            )
        y = np.zeros_like(x)
        states = self._run(number, [row[seen] for row, seen in zip(x, visible, strict=True)])
        for out, seen, state in zip(y, visible, states, strict=True):
            out[seen] = np.ldexp(state, -FRACTION)
        self._made[node.output] = y
        return [y]

    def _decoder(self, node: Node, values: Sequence[NDArray | None]) -> list[NDArray]:
        """Run a language model on the core."""
        (tokens,) = values
        assert tokens is not None and self._language
        self._made[node.output] = logits = self._language.logits(tokens)
        return [logits]

    def _run(self, number: int, sentences: list[NDArray]) -> list[NDArray]:
        """Return each sentence's states, in as few runs as they fit."""
        stack, runner = self.program.stacks[number], self._runner(number)
        states: list[NDArray] = []
        for group in batches(sentences, stack):
            result = runner.run(group)
            self._counts.update(result.counts)
            self._runs += 1
            states += result.states
        return states

    def _runner(self, number: int) -> MachineEncoder | DeviceEncoder:
        """Return what runs a stack, which is opened the first time."""
        if number not in self._runners:
            stack, config = self.program.stacks[number], self.program.config
            if self.device == "machine":
                self._runners[number] = MachineEncoder(stack)
            else:
                if is_port(self.device):
                    self.close()
                device = open_device(config, stack.size, self._simulator, self._progress)
                self._open.append(device)
                self._runners[number] = DeviceEncoder(stack, device)
        return self._runners[number]


def _like(value: NDArray, given: Sequence[Any]) -> Any:
    """Return a tensor of torch's if the first input was one."""
    if given and hasattr(given[0], "detach"):
        import torch

        return torch.from_numpy(np.asarray(value, order="C"))
    return value
