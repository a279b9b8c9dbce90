"""The private elements of a table, by their creators (PS3.5 7.8)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dicombq.dicom import dictionary
from dicombq.questions.place import TABLE, Place
from dicombq.questions.samples import completed
from dicombq.warehouses.googlesql.names import with_aliases

_SQL = f"""
WITH elements AS (
  SELECT SOPInstanceUID, other.Tag FROM {TABLE}, UNNEST(OtherElements) AS other
  UNION ALL
  SELECT SOPInstanceUID, dropped.TagName FROM {TABLE}, UNNEST(DroppedTags) AS dropped
  WHERE STARTS_WITH(dropped.TagName, 'Tag_') AND dropped.TagReference = ''
  {{sequences}}
),
creators AS (
  SELECT SOPInstanceUID, other.Tag, other.Data[SAFE_OFFSET(0)] AS Creator FROM {TABLE}, UNNEST(OtherElements) AS other
  WHERE REGEXP_CONTAINS(other.Tag, r'^Tag_...[13579BDF]00[1-9A-F].$')
)
SELECT creators.Creator, elements.Tag, COUNT(DISTINCT elements.SOPInstanceUID) AS Instances
FROM elements
JOIN creators
  ON creators.SOPInstanceUID = elements.SOPInstanceUID
  AND creators.Tag = CONCAT(SUBSTR(elements.Tag, 1, 8), '00', SUBSTR(elements.Tag, 9, 2))
GROUP BY creators.Creator, elements.Tag
ORDER BY creators.Creator, elements.Tag
"""


def private_elements(place: Place) -> Iterator[dict[str, Any]]:
    """List the private elements at the top of a table's rows: in OtherElements, in DroppedTags, and sequences."""
    fields = place.warehouse.fields(place.table)
    names = [f.name for f in fields if f.name.startswith("Tag_")]
    sequences = (
        f"UNION ALL SELECT SOPInstanceUID, '{name}' FROM {TABLE} WHERE ARRAY_LENGTH(`{name}`) > 0" for name in names
    )
    sql = completed(_SQL.format(sequences=" ".join(sequences)), fields)
    for creator, tag_name, instances in place.warehouse.query(with_aliases(sql, place.aliases)).rows:
        tag = int(tag_name.removeprefix("Tag_"), 16)
        vr = "SQ" if tag_name in names else dictionary.private_vr(tag, creator or "") or ""
        yield {
            "creator": creator,
            "tag": f"({tag >> 16:04X},{tag & 0xFFFF:04X})",
            "vr": vr,
            "name": dictionary.private_name(tag, creator or ""),
            "instances": instances,
        }
