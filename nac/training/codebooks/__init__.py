"""Codebooks: their start, their learning, their refinement."""
