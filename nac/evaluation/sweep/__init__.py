"""Clips through codecs at bit rates, cached on disk, and the summary of what came out."""
