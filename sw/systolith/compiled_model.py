"""What compiled models of every kind have in common: contents of external memory, and images."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

from systolith_hw.config import Config
from systolith_sim.machine import Machine

from .image import ImageError
from .model_image import ModelImage
from .sources import compiler_version

__all__ = ["CompiledModel"]


class CompiledModel:
    """A model that has been compiled for one configuration.

    Attributes
    ----------
    layout : EncoderLayout or DecoderLayout
        Where everything is in external memory; has the plan of the chip.
    parts : dict of bytes
        All that runs have in common, by address.
    made_by : tuple of str
        Modules that make images of this kind: those of another version of them mean nothing.
    """

    layout: Any
    parts: dict[int, bytes]
    made_by: ClassVar[tuple[str, ...]]

    @property
    def size(self) -> int:
        """Bytes of external memory."""
        return max(self.layout.map.size, *(at + len(part) for at, part in self.parts.items()))

    def machine(self) -> Machine:
        """Return a functional machine with the model in its memory."""
        machine = Machine(self.layout.plan.config, self.size)
        for address, content in self.parts.items():
            machine.memory.write(address, content)
        return machine

    def _image(self, model: str, places: Mapping[str, int], **more: Any) -> ModelImage:
        """Return the image of a model of that name.

        ``places`` are where its programs are, and what else a driver must know; ``more`` is what
        the manifest has beside them.
        """
        planned = self.layout.plan
        plan = {
            field.name: getattr(planned, field.name)
            for field in dataclasses.fields(planned)
            if field.name not in ("config", "shape")
        }
        manifest = {
            "model": model, "shape": dataclasses.asdict(planned.shape), "plan": plan, **more,
            "compiler": compiler_version(self.made_by),
        }  # fmt: skip
        return ModelImage(
            manifest, self.parts, planned.config.hash, {**places, "size": self.size}
        )

    @classmethod
    def _plan_of(
        cls, image: ModelImage, config: Config, model: str, shape: type, plan: type
    ) -> tuple[Any, Mapping[str, Any]]:
        """Return the plan of an image, and the rest of its manifest.

        Raises
        ------
        ImageError
            If it is of another model, or another compiler's.
        """
        manifest = image.manifest
        if manifest["model"] != model:
            raise ImageError(f"the image is of {manifest['model']}, not of {model}")
        if manifest["compiler"] != compiler_version(cls.made_by):
            raise ImageError("the image is another version's of this software; compile it again")
        sizes = shape(**manifest["shape"])
        return plan(config=config, shape=sizes, **manifest["plan"]), manifest
