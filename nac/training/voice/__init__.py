"""Training of the voice model: prepared recordings, fitted quantizers, the control network, the adversarial game."""
