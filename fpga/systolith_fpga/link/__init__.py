"""The board's end of the host link; ``systolith_hw.link_protocol`` says what is on the line."""
