"""The network: waveform to latent, latent to codes, and back. Knows no files but its own weights."""
