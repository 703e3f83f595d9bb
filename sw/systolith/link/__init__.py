"""The host's end of the link to a board, whose protocol is ``systolith_hw.link_protocol``."""
