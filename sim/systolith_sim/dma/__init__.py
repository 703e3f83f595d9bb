"""Golden models of transfers: layouts in external memory."""
