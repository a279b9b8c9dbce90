-- Series whose instances differ in what they should have in common
SELECT
  SeriesInstanceUID,
  COUNT(DISTINCT Modality) AS Modalities,
  COUNT(DISTINCT PatientID) AS Patients,
  COUNT(DISTINCT SliceThickness) AS SliceThicknesses,
  COUNT(DISTINCT ARRAY_TO_STRING(PixelSpacing, ',')) AS PixelSpacings,
  COUNT(DISTINCT ARRAY_TO_STRING(ImageOrientationPatient, ',')) AS Orientations,
  COUNT(DISTINCT `Rows`) AS Heights
FROM instances
GROUP BY SeriesInstanceUID
HAVING Modalities > 1 OR Patients > 1 OR SliceThicknesses > 1 OR PixelSpacings > 1 OR Orientations > 1 OR Heights > 1
ORDER BY SeriesInstanceUID
