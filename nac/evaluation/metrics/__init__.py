"""Scores of a decoded sound against its reference: their definitions, and one table of all (`METRICS`)."""

from nac.evaluation.metrics.registry import METRICS, VERSION, Metric, default_metrics, score, shown, unavailable

__all__ = ["METRICS", "VERSION", "Metric", "default_metrics", "score", "shown", "unavailable"]
