-- Studies, series and instances of each modality in each year
SELECT
  Modality,
  EXTRACT(YEAR FROM StudyDate) AS Year,
  COUNT(DISTINCT StudyInstanceUID) AS Studies,
  COUNT(DISTINCT SeriesInstanceUID) AS Series,
  COUNT(*) AS Instances
FROM instances
GROUP BY Modality, Year
ORDER BY Modality, Year
