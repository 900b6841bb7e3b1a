"""nac: a neural audio codec."""
