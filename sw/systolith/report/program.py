"""What a compiled model is: as plain data, and as text."""

from typing import Any

from systolith_hw.config import INSTRUCTION_BYTES

from ..compiler.memory_needs import NEEDS
from ..graph.text import graph_text
from ..model_program import ModelProgram
from ..program.listing import disassemble
from ..stack import CompiledStack

__all__ = ["describe_program", "listing_of", "program_text"]


def describe_program(program: ModelProgram) -> dict[str, Any]:
    """Return a compiled model as JSON has it, without its instructions."""
    return {
        "config_hash": f"{program.config.hash:#010x}", "config": program.config.to_dict(),
        "inputs": {name: str(kind) for name, kind in program.graph.inputs.items()},
        "outputs": {name: str(program.graph.types.get(name, "?"))
                    for name in program.graph.outputs},
        **program.parts.to_dict(),
        "stacks": [_describe_stack(stack) for stack in program.stacks],
        "accuracy": program.accuracy.to_dict(),
    }  # fmt: skip


def _describe_stack(stack: CompiledStack) -> dict[str, Any]:
    plan, memory = stack.plan, stack.plan.config.memory
    instructions = len(stack.parts[stack.program]) // INSTRUCTION_BYTES
    return {
        "layers": plan.shape.layers, "features": plan.shape.features, "heads": plan.shape.heads,
        "hidden": plan.shape.hidden, "tokens": plan.tokens, "sentences": plan.segments,
        "instructions": instructions, "bytes": stack.size,
        "regions": [
            {"region": region.name, "address": region.address, "bytes": region.size}
            for region in stack.layout.regions.values()
        ],
        "chip": [
            {"memory": name, "used": getattr(plan, need), "words": getattr(memory, name)}
            for name, need in NEEDS.items()
        ],
    }  # fmt: skip


def program_text(program: ModelProgram) -> str:
    """Return the graph, what is where, and the memory maps, as lines of text."""
    lines = [f"configuration {program.config.hash:#010x}", graph_text(program.graph), "",
             str(program.parts), str(program.accuracy)]  # fmt: skip
    for number, stack in enumerate(program.stacks):
        facts = _describe_stack(stack)
        size = f"at most {facts['tokens']} tokens in {facts['sentences']} sentences"
        lines.append("")
        lines.append(f"stack {number}: layers {facts['layers']}, a run has {size}, instructions "
                     f"{facts['instructions']}")  # fmt: skip
        lines += [
            f"  {row['address']:#10x}  {row['bytes']:>12,} bytes  {row['region']}"
            for row in facts["regions"]
        ]
        lines += [
            f"  on chip {row['memory']}: {row['used']:,} of {row['words']:,}"
            for row in facts["chip"]
        ]
    return "\n".join(lines)


def listing_of(program: ModelProgram) -> list[str]:
    """Return the instructions of each stack as text."""
    return [disassemble(stack.parts[stack.program]) for stack in program.stacks]
