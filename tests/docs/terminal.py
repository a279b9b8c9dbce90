"""The terminal on the README: recorded from real commands by ``python -m tests.docs.terminal``."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

from tests.docs.consoles import Machine
from tests.docs.pages import DOCS

PICTURE = DOCS / "terminal.svg"
_WIDTH = 100
_COMMANDS = [
    "dicombq query samples 'SELECT Modality, COUNT(*) AS Instances FROM instances GROUP BY 1 ORDER BY 1 LIMIT 4'",
    "dicombq query samples --sample=missing-tags | cut -c1-90",
    "dicombq export bq samples",
    "dicombq schema show dicom.samples | grep -E '^(COLUMN|PatientID|StudyDate|PixelSpacing) '",
]


def picture(machine: Machine) -> str:
    """Run the commands, and draw what a terminal shows."""
    console = Console(record=True, width=_WIDTH, file=io.StringIO(), legacy_windows=False, color_system="truecolor")
    for command in _COMMANDS:
        console.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
        console.print(Text(machine.run(command)))
    return console.export_svg(title="dicombq", unique_id="dicombq")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        PICTURE.write_text(picture(Machine(Path(folder))), encoding="utf-8")
