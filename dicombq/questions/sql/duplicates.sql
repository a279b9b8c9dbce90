-- Instances that are there more than once: with several rows, or in several series
SELECT
  SOPInstanceUID,
  COUNT(*) AS Copies,
  COUNT(DISTINCT SeriesInstanceUID) AS Series,
  COUNT(DISTINCT StudyInstanceUID) AS Studies
FROM instances
WHERE SOPInstanceUID IS NOT NULL
GROUP BY SOPInstanceUID
HAVING Copies > 1
ORDER BY Copies DESC, SOPInstanceUID
