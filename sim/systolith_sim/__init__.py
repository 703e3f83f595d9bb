"""Golden models and simulators, in integers. Never imports Amaranth."""
