-- The 20 studies that take most room
SELECT StudyInstanceUID, MIN(PatientID) AS PatientID, COUNT(*) AS Instances, SUM(BlobStorageSize) AS Bytes
FROM instances
GROUP BY StudyInstanceUID
ORDER BY Bytes DESC, StudyInstanceUID
LIMIT 20
