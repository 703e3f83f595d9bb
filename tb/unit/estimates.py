"""How near estimated cycles must come to measured ones."""

NEAR = 0.03
"""Of a benchmark."""


def assert_near(estimated, measured, share=NEAR):
    """Hold an estimate to what the hardware took."""
    assert estimated is not None and measured
    assert abs(estimated / measured - 1) <= share, (estimated, measured)
