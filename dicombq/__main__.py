"""``python -m dicombq``."""

from dicombq.cli.main import run

run()
