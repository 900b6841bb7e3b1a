"""Training: data, losses, codebooks, and the trainer itself. Nothing that codes imports this."""
