"""The network: waveform to latent, latent to codes, and back; reads no files but its weights."""
