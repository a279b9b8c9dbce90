-- Instances without an element that nearly every archive relies on
SELECT
  SOPInstanceUID,
  PatientID IS NULL OR PatientID = '' AS NoPatientID,
  StudyInstanceUID IS NULL AS NoStudyInstanceUID,
  SeriesInstanceUID IS NULL AS NoSeriesInstanceUID,
  StudyDate IS NULL AS NoStudyDate,
  Modality IS NULL OR Modality = '' AS NoModality
FROM instances
WHERE PatientID IS NULL OR PatientID = '' OR StudyInstanceUID IS NULL OR SeriesInstanceUID IS NULL
  OR StudyDate IS NULL OR Modality IS NULL OR Modality = ''
ORDER BY SOPInstanceUID
