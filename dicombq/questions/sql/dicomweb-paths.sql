-- The DICOMweb path of each instance of a patient; give --parameter=patient::ID
SELECT CONCAT('/dicomWeb/studies/', StudyInstanceUID, '/series/', SeriesInstanceUID, '/instances/', SOPInstanceUID) AS DICOMwebPath
FROM instances
WHERE PatientID = @patient
ORDER BY DICOMwebPath
