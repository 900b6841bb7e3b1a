"""The research bench: autoencoders on spectra and waveforms beside nac, trained alike and judged at true bit rates.

Nothing else in nac imports this package.
"""
