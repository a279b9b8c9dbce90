"""Measurements of dicombq: ``python -m benchmarks`` prints them as Markdown tables."""
