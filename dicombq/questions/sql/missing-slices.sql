-- Series whose instance numbers have gaps
SELECT
  SeriesInstanceUID,
  MIN(Modality) AS Modality,
  COUNT(DISTINCT Number) AS Numbers,
  MIN(Number) AS First,
  MAX(Number) AS Last,
  MAX(Number) - MIN(Number) + 1 - COUNT(DISTINCT Number) AS Missing
FROM (SELECT SeriesInstanceUID, Modality, SAFE_CAST(InstanceNumber AS INT64) AS Number FROM instances)
GROUP BY SeriesInstanceUID
HAVING Missing > 0
ORDER BY Missing DESC, SeriesInstanceUID
