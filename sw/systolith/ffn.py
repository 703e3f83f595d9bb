"""MiniLM's first feed-forward matrix on the simulated hardware."""

import dataclasses
from dataclasses import dataclass

from systolith_hw.config import Config
from systolith_sim.transformer.reference import mix

from .bench import Measurement, run_product
from .closeness import cosine
from .compiler.matmul import plan_matmul
from .models.minilm import MiniLM
from .product import Product
from .progress import Progress

__all__ = ["FeedForward", "run_ffn"]

LAYER = 0


@dataclass(frozen=True, kw_only=True)
class FeedForward(Measurement):
    """What a sentence's feed-forward matrix was measured to do.

    Parameters
    ----------
    text : str
        The sentence.
    tokens : int
        What the tokenizer made of it, with those that open and close it.
    cosine : float
        Between the hardware's results and float32's, with bias, before GELU, over all tokens.
    cosine_worst : float
        Of the token where it is smallest.
    """

    text: str
    tokens: int
    cosine: float
    cosine_worst: float


def run_ffn(
    model: MiniLM,
    text: str,
    config: Config,
    *,
    simulator: str = "verilator",
    progress: Progress | None = None,
) -> FeedForward:
    """Take a sentence through the matrix, 384 to 1536, with weights streamed from memory.

    The host computes embedding and attention in float, so that the hardware's inputs are
    real ones.

    Raises
    ------
    TextError
        If the text is empty.
    """
    progress = progress or Progress()
    progress("embedding and attention in float")
    tokens = model.tokenize(text)
    layer = model.layer(LAYER)
    x = model.embedding(tokens)
    x = layer.attention_norm(x + layer.output(mix(layer, x)))
    weights, bias = layer.up.weights, layer.up.bias
    exact = layer.up(x)

    product = Product.quantize(config, x, weights, bias)
    k, n = weights.shape
    plan = plan_matmul(config, len(x), k, n, operands="stream",
                       exponent_base=product.output.exponent_base)  # fmt: skip
    measurement, result = run_product(plan, product, simulator=simulator, progress=progress)
    got = product.to_real(result)
    return FeedForward(
        text=text,
        tokens=len(tokens),
        cosine=cosine(got, exact),
        cosine_worst=min(map(cosine, got, exact)),
        **{item.name: getattr(measurement, item.name) for item in dataclasses.fields(measurement)},
    )
