"""Training: data, losses, the start of the codebooks, the loop. Nothing in the codec's way imports this."""
