"""A story, token by token, from a language model that lies on the chip whole.

    python examples/story.py [--device rtl|machine] [--tokens N] [PROMPT]

The host writes the prompt and starts the core once; the core makes each token by itself.
"""

import argparse

from systolith.language_run import LanguageRun
from systolith.models.library import load_language_model
from systolith.progress import Progress
from systolith_hw.presets import preset


def main(device: str = "rtl", tokens: int = 48, prompt: str = "Once upon a time") -> list[int]:
    """Print the story as it comes; return its tokens."""
    model = load_language_model("stories-260k")
    run = LanguageRun(model, preset("ulx3s-resident"), Progress())
    numbers = model.prompt(prompt)
    run.require_room(numbers)
    print(prompt, end="", flush=True)

    def show(piece: str) -> None:
        print(piece, end="", flush=True)

    if device == "machine":
        text = run.predict(numbers, tokens, show)
        print()
    else:
        text, simulated = run.simulate(
            numbers, tokens, show, simulator="verilator", clock_mhz=100, progress=Progress()
        )
        print(f"\n{simulated.cycles / len(text.tokens):,.0f} cycles a token, the prompt's among "
              f"them; equal to the functional machine: {simulated.bit_exact}")  # fmt: skip
    return list(text.tokens)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A story from the generated hardware.")
    parser.add_argument("prompt", nargs="?", default="Once upon a time")
    parser.add_argument("--device", default="rtl", choices=["rtl", "machine"])
    parser.add_argument("--tokens", type=int, default=48)
    arguments = parser.parse_args()
    main(arguments.device, arguments.tokens, arguments.prompt)
