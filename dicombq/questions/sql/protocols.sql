-- The protocols of each scanner
SELECT
  Manufacturer,
  ManufacturerModelName,
  StationName,
  Modality,
  ProtocolName,
  COUNT(DISTINCT StudyInstanceUID) AS Studies,
  COUNT(DISTINCT SeriesInstanceUID) AS Series
FROM instances
GROUP BY Manufacturer, ManufacturerModelName, StationName, Modality, ProtocolName
ORDER BY Manufacturer, ManufacturerModelName, StationName, Modality, ProtocolName
