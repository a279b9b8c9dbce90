-- What each series says of dose, where it says anything
SELECT
  SeriesInstanceUID,
  MIN(Modality) AS Modality,
  MIN(KVP) AS KVP,
  AVG(CTDIvol) AS MeanCTDIvol,
  SUM(SAFE_CAST(ImageAndFluoroscopyAreaDoseProduct AS FLOAT64)) AS AreaDoseProduct,
  MAX(SAFE_CAST(OrganDose AS FLOAT64)) AS OrganDose
FROM instances
WHERE CTDIvol IS NOT NULL OR ImageAndFluoroscopyAreaDoseProduct IS NOT NULL OR OrganDose IS NOT NULL
GROUP BY SeriesInstanceUID
ORDER BY SeriesInstanceUID
