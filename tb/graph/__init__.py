"""Tests of models as graphs, and of what compiles and runs them."""
