-- The 20 latest studies by their date, with patient and number of instances
SELECT MIN(CONCAT(StudyDate, ' ', StudyTime)) AS StudyDateTime, MIN(PatientID) AS PatientID, StudyInstanceUID, COUNT(*) AS InstanceCount
FROM instances
GROUP BY StudyInstanceUID
ORDER BY StudyDateTime DESC, StudyInstanceUID
LIMIT 20
