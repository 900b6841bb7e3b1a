"""Entropy coding of payloads, without loss. ENTROPY.md describes every step."""
