"""The voice model: pitch, spectral envelope and aperiodicity of speech, their codes and their sound."""
