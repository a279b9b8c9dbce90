-- The 20 studies that were put in the store last, by the time of their newest instance
SELECT MAX(LastUpdated) AS Arrived, StudyInstanceUID, MIN(StudyDate) AS StudyDate, COUNT(*) AS Instances
FROM instances
GROUP BY StudyInstanceUID
ORDER BY Arrived DESC, StudyInstanceUID
LIMIT 20
