"""Compiled models of a person's own, and the files that hold them, ``.sysl``.

A file is a zip (:mod:`systolith.archive`) with

* ``manifest.json``: versions, configuration and its hash, the graph, which of its nodes are stacks
  on the core, and why the others are not;
* ``constants/N.npy``: the graph's constants, in float;
* ``stacks/N.image``: for each stack the contents of external memory, instructions among them, as a
  :class:`~systolith.model_image.ModelImage`;
* ``language/logits.image`` and ``language/text.image``: the same of a language model.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import Config, ConfigError
from systolith_hw.isa import ISA_VERSION
from systolith_hw.presets import preset

from .accuracy import Accuracy
from .archive import BROKEN, Archive, write_archive
from .graph import Graph, GraphError, Node
from .graph.decoder_part import DecoderPart
from .graph.executor import run
from .graph.key_mask import visible_tokens
from .graph.layer_shapes import require_layer
from .graph.partition import HostNode, Partition, Stack, cut
from .graph.tree import graph_from_tree, graph_tree, text, texts
from .image import ImageError
from .language import CompiledDecoder
from .language_program import LanguageProgram
from .model_image import ModelImage
from .stack import CompiledStack

__all__ = ["FORMAT_VERSION", "ModelProgram", "load_program"]

Program = TypeVar("Program", CompiledStack, CompiledDecoder)

KIND = "Systolith program"
FORMAT_VERSION = 3

IMAGE = "a stack"
"""What images of stacks call their model."""

LANGUAGE = "a language model"
"""What images of language models do."""

MOST_BYTES = 1 << 32
"""Of external memory, since addresses have 32 bits."""

LANGUAGE_IMAGES = ("language/logits.image", "language/text.image")


@dataclass(frozen=True)
class ModelProgram:
    """A model that has been compiled.

    Parameters
    ----------
    config : Config
    graph : Graph
        The model in float, rewritten: what results are measured against.
    parts : Partition
        Of the same.
    stacks : list of CompiledStack
        Programs of the core, in the partition's order.
    accuracy : Accuracy
        Layer by layer, on the example.
    language : LanguageProgram or None
        Programs of a language model, if the graph is one.
    """

    config: Config
    graph: Graph
    parts: Partition
    stacks: list[CompiledStack]
    accuracy: Accuracy
    language: LanguageProgram | None = None

    def run_float(
        self, feeds: Mapping[str, NDArray], wanted: Sequence[str] | None = None
    ) -> dict[str, NDArray]:
        """Return tensors by name, by default the outputs, as the engine makes them, but in float.

        Tokens that a mask hides are zero behind a stack, as they are on the core.
        """
        graph = self.graph

        def stack(node: Node, values: Sequence[NDArray | None]) -> list[NDArray]:
            part = self.parts.stacks[node.attributes["stack"]]
            x, mask = (*values, None)[:2]
            assert x is not None
            given = {part.x: x} if mask is None else {part.x: x, part.mask: mask}
            y = run(graph, given, [part.y])[part.y]
            visible = visible_tokens(mask, *x.shape[:2])[..., None]
            return [np.where(visible, y, np.zeros((), y.dtype))]

        def decoder(node: Node, values: Sequence[NDArray | None]) -> list[NDArray]:
            part = self.parts.decoder
            assert part and values[0] is not None
            return [run(graph, {part.tokens: values[0]}, [part.logits])[part.logits]]

        handlers = {"EncoderStack": stack, "DecoderStack": decoder}
        return run(self.parts.graph, feeds, wanted, handlers=handlers)

    def save(self, path: str | Path) -> None:
        """Write a file that :func:`systolith.load` reads.

        Raises
        ------
        GraphError
            If an attribute of a node is of a kind that no file has.
        """
        constants, decoder = list(self.graph.constants), self.parts.decoder
        manifest = {
            "kind": KIND, "format": FORMAT_VERSION, "instruction_set": ISA_VERSION,
            "config": self.config.to_dict(), "config_hash": self.config.hash,
            "graph": graph_tree(self.graph), "constants": constants,
            "stacks": [[node.output for node in stack.nodes] for stack in self.parts.stacks],
            "decoder": [node.output for node in decoder.nodes] if decoder else [],
            "core_macs": self.parts.core_macs,
            "host": [[one.node.outputs, one.reason, one.macs] for one in self.parts.host],
            "accuracy": self.accuracy.to_dict(),
        }  # fmt: skip
        write_archive(Path(path), manifest, self._members())

    def _members(self) -> Iterator[tuple[str, NDArray | list[bytes]]]:
        """Yield what lies beside the manifest, one after the other, since images are large."""
        for number, value in enumerate(self.graph.constants.values()):
            yield f"constants/{number}", value
        for number, stack in enumerate(self.stacks):
            yield _image_name(number), stack.image(IMAGE).pieces()
        if self.language:
            programs = self.language.logits, self.language.text
            for name, program in zip(LANGUAGE_IMAGES, programs, strict=True):
                yield name, program.image(LANGUAGE).pieces()


def load_program(path: str | Path, config: Config | str | None = None) -> ModelProgram:
    """Read a file of :meth:`ModelProgram.save`. Nothing in it is unpickled or executed.

    Parameters
    ----------
    path : path
    config : Config or str
        If given, the file must be for this one, or for the preset of this name.

    Raises
    ------
    ImageError
        If it is no such file, damaged, of another version, or for another configuration; the
        sentence says which part, and what to do.
    OSError
        If there is no file.
    """
    if isinstance(config, str):
        config = preset(config)
    with Archive(Path(path), f"{KIND} (.sysl)") as archive:
        _check_version(archive, str(path))
        try:
            return _read(archive, str(path), config)
        except BROKEN as error:
            if isinstance(error, ImageError):
                raise
            raise archive.damaged("manifest.json", f"is damaged ({error!r})") from error


def _check_version(archive: Archive, path: str) -> None:
    manifest = archive.manifest
    if manifest.get("kind") != KIND:
        raise ImageError(f"{path} is no {KIND}, but a zip file of something else")
    versions = manifest.get("format"), manifest.get("instruction_set")
    if versions != (FORMAT_VERSION, ISA_VERSION):
        raise ImageError(
            f"{path} has format {versions[0]} and instruction set {versions[1]}, but this software "
            f"reads format {FORMAT_VERSION} and instruction set {ISA_VERSION}; compile the model "
            "again"
        )


def _read(archive: Archive, path: str, wanted: Config | None) -> ModelProgram:
    manifest = archive.manifest
    config = _config(manifest, path)
    if wanted is not None and wanted.hash != config.hash:
        raise ImageError(
            f"{path} is for configuration {config.hash:#010x}, but this one is "
            f"{wanted.hash:#010x}; compile the model again for it"
        )
    constants = {
        name: archive.array(f"constants/{number}")
        for number, name in enumerate(texts(manifest["constants"]))
    }
    graph = graph_from_tree(manifest["graph"], constants)
    parts = _parts(graph, manifest)
    names = [_image_name(number) for number in range(len(parts.stacks))]
    stacks = [_program(archive, path, config, name, CompiledStack, IMAGE) for name in names]
    language = None
    if parts.decoder:
        language = LanguageProgram(*(
            _program(archive, path, config, name, CompiledDecoder, LANGUAGE)
            for name in LANGUAGE_IMAGES
        ))  # fmt: skip
    for name, stack, program in zip(names, parts.stacks, stacks, strict=True):
        _require_layers(graph, stack.nodes, "EncoderLayer", name, program)
    if parts.decoder and language:
        for name, one in zip(LANGUAGE_IMAGES, (language.logits, language.text), strict=True):
            _require_layers(graph, parts.decoder.layers, "DecoderLayer", name, one)
    accuracy = Accuracy.from_dict(manifest["accuracy"])
    return ModelProgram(config, graph, parts, stacks, accuracy, language)


def _config(manifest: dict[str, Any], path: str) -> Config:
    """Return the configuration, whose fields must mean what they meant."""
    try:
        config = Config.from_dict(manifest["config"])
    except (TypeError, ConfigError) as error:
        raise ImageError(
            f"{path} is for a configuration of another version of this software ({error}); compile "
            "the model again"
        ) from error
    if config.hash != manifest["config_hash"]:
        raise ImageError(
            f"{path} is for configuration {manifest['config_hash']:#010x}, but the fields that it "
            f"lists now make {config.hash:#010x}; compile the model again"
        )
    return config


def _parts(graph: Graph, manifest: dict[str, Any]) -> Partition:
    """Cut the graph as it was cut."""
    nodes = {node.output: node for node in graph.nodes}
    stacks = [_stack([nodes[name] for name in texts(names)]) for names in manifest["stacks"]]
    decoder = None
    if manifest["decoder"]:
        embedding, *layers, norm, head = (nodes[name] for name in texts(manifest["decoder"]))
        decoder = DecoderPart(embedding, layers, norm, head)
    rest = cut(graph, stacks, decoder)
    places = {node.outputs: node for node in rest.nodes}
    host = [
        HostNode(places[tuple(texts(outputs))], text(reason),
                 None if macs is None else _count(macs))
        for outputs, reason, macs in manifest["host"]
    ]  # fmt: skip
    if len(host) + len(stacks) + bool(decoder) != len(rest.nodes):
        raise GraphError("nodes of the host are not those of the graph")
    return Partition(rest, stacks, host, _count(manifest["core_macs"]), decoder)


def _stack(nodes: list[Node]) -> Stack:
    """Return nodes that must be a chain as a stack."""
    stack = Stack.of(nodes)
    for before, node in itertools.pairwise(nodes):
        if node.inputs[:2] != (before.output, stack.mask):
            raise ValueError(f"{node} does not follow {before}")
    return stack


def _require_layers(
    graph: Graph, nodes: Sequence[Node], operator: str, name: str,
    program: CompiledStack | CompiledDecoder,
) -> None:  # fmt: skip
    """Refuse nodes that are not the layers that an image was made of."""
    shape = program.plan.shape
    held = {"features": shape.features, "heads": shape.heads, "hidden": shape.hidden}
    if len(nodes) != shape.layers:
        raise ValueError(f"{name} has {shape.layers} layers, and the graph {len(nodes)}")
    for node in nodes:
        sizes = require_layer(graph, node, operator)
        if sizes != held:
            raise ValueError(f"{node} has {sizes}, and {name} {held}")


def _count(value: Any) -> int:
    """Return a number that counts something, or is a size or an address."""
    if not isinstance(value, int) or not 0 <= value < 1 << 63:
        raise ValueError(f"{value!r} is no number of anything")
    return value


def _program(
    archive: Archive, path: str, config: Config, name: str, kind: type[Program], model: str
) -> Program:
    """Return the program of one image."""
    content = archive.content(name)
    try:
        held: ModelImage = ModelImage.from_bytes(content, config)
        for value in (*held.manifest["shape"].values(), *held.manifest["plan"].values()):
            _count(value)
        program = kind.from_image(held, config, model)
        if program.image(model).places != held.places or program.size > MOST_BYTES:
            raise ValueError("its plan is not that of its contents")
    except ImageError as error:
        raise ImageError(f"{path}: {name}: {error}") from error
    except BROKEN as error:
        raise archive.damaged(name, f"is damaged ({error!r})") from error
    return program


def _image_name(number: int) -> str:
    return f"stacks/{number}.image"
