"""What a compiled model is: as plain data, and as text."""

import dataclasses
from typing import Any

from systolith_hw.config import INSTRUCTION_BYTES

from ..compiler.memory_needs import NEEDS
from ..graph.text import graph_text
from ..language import CompiledDecoder
from ..language_program import LanguageProgram
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
        "language": program.language and {
            "streamed": program.language.streamed,
            **{name: _describe(compiled) for name, compiled in _programs(program.language)},
        },
        "accuracy": program.accuracy.to_dict(),
    }  # fmt: skip


def _programs(language: LanguageProgram) -> list[tuple[str, CompiledDecoder]]:
    """Return both programs of a language model by name."""
    return [("logits", language.logits), ("text", language.text)]


def _describe_stack(stack: CompiledStack) -> dict[str, Any]:
    choice = stack.choice and dataclasses.asdict(stack.choice)
    return {**_describe(stack), "sentences": stack.plan.segments, "plan": choice}


def _describe(stack: CompiledStack | CompiledDecoder) -> dict[str, Any]:
    plan, memory = stack.plan, stack.plan.config.memory
    instructions = len(stack.parts[stack.program]) // INSTRUCTION_BYTES
    return {
        "layers": plan.shape.layers, "features": plan.shape.features, "heads": plan.shape.heads,
        "hidden": plan.shape.hidden, "tokens": plan.tokens,
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
        lines += [f"  {stack.choice}"] if stack.choice else []
        lines += _places(facts)
    for name, compiled in _programs(program.language) if program.language else []:
        facts = _describe(compiled)
        lines.append("")
        size = f"at most {facts['tokens']} tokens"
        lines.append(f"language model, program for {name}: layers {facts['layers']}, a text has "
                     f"{size}, instructions {facts['instructions']}")  # fmt: skip
        lines += _places(facts)
    return "\n".join(lines)


def _places(facts: dict[str, Any]) -> list[str]:
    """Return where everything is in external memory, and what is taken of the chip's."""
    return [
        *(f"  {row['address']:#10x}  {row['bytes']:>12,} bytes  {row['region']}"
          for row in facts["regions"]),
        *(f"  on chip {row['memory']}: {row['used']:,} of {row['words']:,}"
          for row in facts["chip"]),
    ]  # fmt: skip


def listing_of(program: ModelProgram) -> dict[str, str]:
    """Return instructions as text by what they are of: each stack, and a language model's."""
    compiled: dict[str, CompiledStack | CompiledDecoder] = {
        f"stack {number}": stack for number, stack in enumerate(program.stacks)
    }
    for name, one in _programs(program.language) if program.language else []:
        compiled[f"language model, {name}"] = one
    return {name: disassemble(one.parts[one.program]) for name, one in compiled.items()}
