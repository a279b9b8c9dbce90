-- Private elements by their creator, with the number of instances that have them
WITH elements AS (
  SELECT SOPInstanceUID, other.Tag, other.Data
  FROM instances, UNNEST(OtherElements) AS other
),
creators AS (
  SELECT SOPInstanceUID, Tag, Data[SAFE_OFFSET(0)] AS Creator
  FROM elements
  WHERE REGEXP_CONTAINS(Tag, r'^Tag_...[13579BDF]00[1-9A-F].$')
)
SELECT creators.Creator, elements.Tag, COUNT(DISTINCT elements.SOPInstanceUID) AS Instances
FROM elements
JOIN creators
  ON creators.SOPInstanceUID = elements.SOPInstanceUID
  AND creators.Tag = CONCAT(SUBSTR(elements.Tag, 1, 8), '00', SUBSTR(elements.Tag, 9, 2))
GROUP BY creators.Creator, elements.Tag
ORDER BY creators.Creator, elements.Tag
