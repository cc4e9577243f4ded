"""Scores: metrics, networks, statistics, and the comparison with published figures."""
