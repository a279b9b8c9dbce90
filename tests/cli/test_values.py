from __future__ import annotations

import math

import yaml
from hypothesis import given
from hypothesis import strategies as st

from dicombq.cli.values import yaml_text

NAMES = st.from_regex(r"projects/[A-Za-z0-9_./-]+", fullmatch=True) | st.text()


@given(name=NAMES)
def test_a_name_is_written_as_the_library_writes_it(name: str) -> None:
    assert yaml_text({"name": name}) == yaml.safe_dump({"name": name}, allow_unicode=True, width=math.inf)
