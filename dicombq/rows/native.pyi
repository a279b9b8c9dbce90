from typing import BinaryIO

from dicombq.rows.base import Row
from dicombq.rows.record import Record

def read_row(
    file: BinaryIO,
    size: int,
    *,
    claims: bool = True,
    record_type: type[Record] = ...,
    max_element_size: int = ...,
) -> Row: ...
