"""A small language model of random weights, texts for it, and how far from it another one is."""

import numpy as np

from systolith_sim.transformer.decoder_reference import FloatDecoder, FloatDecoderLayer

WIDTH, HIDDEN, VOCABULARY, FEATURES = 48, 88, 60, 12


def random_model(seed=1, *, heads=4, key_heads=2, gated=True, rotary=True, layers=2):
    rng = np.random.default_rng(seed)

    def matrix(k, n):
        return rng.normal(0, k**-0.5, (k, n)).astype(np.float32)

    def gamma():
        return rng.normal(1, 0.3, WIDTH).astype(np.float32)

    embedding = rng.normal(0, 1, (VOCABULARY, WIDTH)).astype(np.float32)
    return FloatDecoder(
        heads=heads, key_heads=key_heads, epsilon=1e-5, rotary_base=1e4 if rotary else None,
        context=64, embedding=embedding,
        positions=None if rotary else rng.normal(0, 0.3, (64, WIDTH)).astype(np.float32),
        layers=[
            FloatDecoderLayer(
                attention_norm=gamma(), query=matrix(WIDTH, heads * FEATURES),
                key=matrix(WIDTH, key_heads * FEATURES), value=matrix(WIDTH, key_heads * FEATURES),
                output=matrix(heads * FEATURES, WIDTH), hidden_norm=gamma(),
                gate=matrix(WIDTH, HIDDEN) if gated else None, up=matrix(WIDTH, HIDDEN),
                down=matrix(HIDDEN, WIDTH),
            )
            for _ in range(layers)
        ],
        norm=gamma(), head=embedding * 0.3,
    )  # fmt: skip


def texts(count, length=30, seed=3):
    rng = np.random.default_rng(seed)
    return rng.integers(0, VOCABULARY, (count, length)).tolist()


def divergence(model, integers, documents):
    """Return the mean Kullback-Leibler divergence from float, in nats."""

    def logarithms(logits):
        logits = np.asarray(logits, np.float64)
        logits = logits - logits.max(-1, keepdims=True)
        return logits - np.log(np.exp(logits).sum(-1, keepdims=True))

    pairs = [(logarithms(model.logits(one)), logarithms(integers.logits(one)))
             for one in documents]  # fmt: skip
    return np.mean([(np.exp(p) * (p - q)).sum(-1).mean() for p, q in pairs])
