"""Measuring codecs: scores, sweeps over clips and bit rates, reports, listening tests, speed."""
