-- guide: DICOMweb paths of a patient
#standardSQL
SELECT CONCAT('/dicomWeb/studies/', StudyInstanceUID, '/series/', SeriesInstanceUID, '/instances/', SOPInstanceUID) as DICOMwebPath
FROM `chc-nih-chest-xray.nih_chest_xray.nih_chest_xray`
WHERE PatientID = '19045';

-- guide: the latest studies
#standardSQL
SELECT MIN(CONCAT(StudyDate, ' ', StudyTime)) as StudyDateTime, MIN(PatientID) as PatientID, StudyInstanceUID, COUNT(*) as InstanceCount
FROM `chc-tcia.lungct_diagnosis.lungct_diagnosis`
GROUP BY StudyInstanceUID
ORDER BY StudyDateTime DESC
LIMIT 20;

-- guide: a filter file
SELECT CONCAT
    ('/studies/', StudyInstanceUID, '/series/', SeriesInstanceUID, '/instances/', SOPInstanceUID)
FROM
    [PROJECT_ID:BIGQUERY_DATASET.BIGQUERY_TABLE]
ORDER BY 1

-- IDC: the first value of an array
SELECT SOPInstanceUID, PixelSpacing[SAFE_OFFSET(0)] AS px, PixelSpacing[SAFE_ORDINAL(2)] AS py FROM dicom.archive ORDER BY SOPInstanceUID, px

-- IDC: the first value that is surely there
SELECT SOPInstanceUID, ImageType[OFFSET(0)] AS it FROM dicom.archive WHERE ARRAY_LENGTH(ImageType) > 0 ORDER BY SOPInstanceUID

-- IDC: a text as a number
SELECT SeriesInstanceUID, MIN(SAFE_CAST(SliceThickness AS FLOAT64)) AS least, MAX(SAFE_CAST(SliceThickness AS FLOAT64)) AS most FROM dicom.archive GROUP BY SeriesInstanceUID ORDER BY SeriesInstanceUID

-- IDC: a private element
SELECT SOPInstanceUID, o.Tag, o.Data FROM dicom.archive, UNNEST(OtherElements) AS o WHERE o.Tag = "Tag_00431031" ORDER BY SOPInstanceUID

-- IDC: a private element without alias
SELECT SOPInstanceUID, Tag, Data[SAFE_OFFSET(0)] AS first FROM dicom.archive, UNNEST(OtherElements) WHERE Tag = "Tag_00431031"

-- IDC: a private element by a subquery
SELECT SOPInstanceUID, (SELECT Data[SAFE_OFFSET(1)] FROM UNNEST(OtherElements) WHERE Tag = 'Tag_00431031') AS value FROM dicom.archive WHERE Modality = 'CT' ORDER BY SOPInstanceUID, value

-- IDC: a field of a person's name
SELECT PatientName.Alphabetic.FamilyName, PatientName.Alphabetic.GivenName, COUNT(*) AS n FROM dicom.archive GROUP BY 1, 2 ORDER BY 1, 2

-- IDC: segments and their codes
SELECT segment.SegmentNumber, segment.SegmentLabel, t.CodeValue, t.CodeMeaning
FROM dicom.archive, UNNEST(SegmentSequence) AS segment, UNNEST(segment.SegmentedPropertyTypeCodeSequence) AS t
ORDER BY 1

-- IDC: segments without an alias for the inner sequence
SELECT SegmentLabel, CodeMeaning FROM dicom.archive CROSS JOIN UNNEST(SegmentSequence) AS s CROSS JOIN UNNEST(s.SegmentedPropertyCategoryCodeSequence) ORDER BY 1

-- IDC: beams as an array path
SELECT b.BeamName, b.BeamType, b.NumberOfControlPoints FROM dicom.archive AS a, a.BeamSequence AS b ORDER BY 1

-- IDC: control points of beams with their place
SELECT b.BeamNumber, point, c.GantryAngle FROM dicom.archive, UNNEST(BeamSequence) AS b, UNNEST(b.ControlPointSequence) AS c WITH OFFSET AS point ORDER BY 1, 2

-- IDC: values with their place
SELECT SOPInstanceUID, value, place FROM dicom.archive, UNNEST(ImageType) AS value WITH OFFSET AS place WHERE Modality = 'MR' ORDER BY place

-- IDC: the offset without a name
SELECT value, offset FROM dicom.archive, UNNEST(PixelSpacing) AS value WITH OFFSET WHERE Modality = 'MR' ORDER BY offset

-- IDC: series of a modality with their size
SELECT SeriesInstanceUID, ANY_VALUE(PatientID) AS patient, ROUND(SUM(BlobStorageSize) / POW(1024, 2), 3) AS MB FROM dicom.archive WHERE Modality IN ('CT', 'MR') GROUP BY SeriesInstanceUID ORDER BY MB DESC, 1

-- IDC: all values of a series as one text
SELECT SeriesInstanceUID, STRING_AGG(DISTINCT SliceThickness, ',' ORDER BY SliceThickness) AS thicknesses FROM dicom.archive WHERE SliceThickness IS NOT NULL GROUP BY 1 ORDER BY 1

-- IDC: all values of a series as an array
SELECT SeriesInstanceUID, ARRAY_AGG(InstanceNumber ORDER BY CAST(InstanceNumber AS INT64)) AS numbers FROM dicom.archive WHERE StationName LIKE 'CT0_' AND InstanceNumber IS NOT NULL GROUP BY 1 ORDER BY 1

-- IDC: an array as one text
SELECT SOPInstanceUID, ARRAY_TO_STRING(ImageType, '\\') AS ImageType, ARRAY_TO_STRING(PixelSpacing, '/') AS spacing FROM dicom.archive ORDER BY 1, 2

-- IDC: a value in an array
SELECT SOPInstanceUID FROM dicom.archive WHERE 'AXIAL' IN UNNEST(ImageType) ORDER BY 1

-- IDC: no such value in an array
SELECT COUNT(*) AS n FROM dicom.archive WHERE 'AXIAL' NOT IN UNNEST(ImageType)

-- IDC: an item that exists
SELECT SOPInstanceUID FROM dicom.archive WHERE EXISTS (SELECT 1 FROM UNNEST(RequestAttributesSequence) AS r WHERE r.RequestedProcedureID = 'R2') ORDER BY 1

-- IDC: how many items
SELECT ARRAY_LENGTH(RequestAttributesSequence) AS items, COUNT(*) AS n FROM dicom.archive GROUP BY items ORDER BY items

-- IDC: the items of a sequence as an array of fields
SELECT SOPInstanceUID, ARRAY(SELECT RequestedProcedureID FROM UNNEST(RequestAttributesSequence)) AS ids FROM dicom.archive WHERE StationName = 'CT01' ORDER BY 1, ARRAY_LENGTH(RequestAttributesSequence)

-- IDC: instances without items are kept by a left join
SELECT COUNT(*) AS instances, COUNTIF(r.RequestedProcedureID IS NULL) AS without FROM dicom.archive LEFT JOIN UNNEST(RequestAttributesSequence) AS r

-- IDC: a code in a sequence in a sequence
SELECT DISTINCT p.CodeValue, p.CodeMeaning FROM dicom.archive, UNNEST(ReferencedImageSequence) AS i, UNNEST(i.PurposeOfReferenceCodeSequence) AS p ORDER BY 1

-- IDC: what was left out
SELECT TagName, COUNT(*) AS n FROM dicom.archive, UNNEST(DroppedTags) GROUP BY TagName ORDER BY n DESC, TagName

-- the newest row of each instance
SELECT SOPInstanceUID, SeriesInstanceUID FROM dicom.archive WHERE TRUE QUALIFY ROW_NUMBER() OVER (PARTITION BY SOPInstanceUID ORDER BY SeriesInstanceUID DESC) = 1 ORDER BY 1

-- all columns but some
SELECT * EXCEPT (n) FROM (SELECT Modality, COUNT(*) AS n, MAX(`Rows`) AS most FROM dicom.archive GROUP BY Modality) ORDER BY Modality

-- all columns with one made anew
SELECT * REPLACE (UPPER(Modality) AS Modality) FROM (SELECT LOWER(Modality) AS Modality, COUNT(*) AS n FROM dicom.archive GROUP BY 1) ORDER BY 1

-- the columns of a table
SELECT column_name, ordinal_position, is_nullable, data_type FROM dicom.INFORMATION_SCHEMA.COLUMNS WHERE table_name = 'archive' AND column_name IN ('Modality', 'StudyDate', 'StudyTime', 'BlobStorageSize', 'LastUpdated', 'ImageType', 'CTDIvol') ORDER BY column_name

-- the tables of a dataset
SELECT table_name, table_type FROM `dicom.INFORMATION_SCHEMA.TABLES` WHERE table_name LIKE 'archive%' ORDER BY table_name

-- counts by modality and year
SELECT Modality, EXTRACT(YEAR FROM StudyDate) AS year, COUNT(*) AS n FROM dicom.archive GROUP BY Modality, year ORDER BY Modality, year

-- counts by month
SELECT DATE_TRUNC(StudyDate, MONTH) AS month, COUNT(DISTINCT StudyInstanceUID) AS studies FROM dicom.archive GROUP BY month ORDER BY month

-- counts by week day
SELECT EXTRACT(DAYOFWEEK FROM StudyDate) AS day, FORMAT_DATE('%A', StudyDate) AS name, COUNT(*) AS n FROM dicom.archive GROUP BY 1, 2 ORDER BY 1

-- days between dates
SELECT DISTINCT PatientID, DATE_DIFF(DATE '2024-03-01', StudyDate, DAY) AS days, DATE_DIFF(DATE '2024-03-01', StudyDate, MONTH) AS months, DATE_DIFF(DATE '2024-03-01', StudyDate, YEAR) AS years FROM dicom.archive WHERE StudyDate IS NOT NULL ORDER BY days

-- dates that are added to
SELECT DISTINCT StudyDate, DATE_ADD(StudyDate, INTERVAL 1 YEAR) AS next_year, DATE_SUB(StudyDate, INTERVAL 1 MONTH) AS last_month, LAST_DAY(StudyDate) AS month_end FROM dicom.archive WHERE StudyDate > '2020-01-01' ORDER BY 1

-- a date and a time together
SELECT DISTINCT DATETIME(StudyDate, StudyTime) AS start, TIMESTAMP(DATETIME(StudyDate, StudyTime)) AS at FROM dicom.archive WHERE StudyDate IS NOT NULL ORDER BY 1

-- when instances were put in the store
SELECT DATE(LastUpdated) AS day, EXTRACT(HOUR FROM LastUpdated) AS hour, TIMESTAMP_TRUNC(LastUpdated, DAY) AS midnight, UNIX_SECONDS(LastUpdated) AS seconds, COUNT(*) AS n FROM dicom.archive GROUP BY 1, 2, 3, 4

-- times as text
SELECT DISTINCT FORMAT_TIME('%H:%M', StudyTime) AS minute, CAST(StudyTime AS STRING) AS time, FORMAT_TIMESTAMP('%Y-%m-%d %H:%M:%S', LastUpdated) AS updated FROM dicom.archive WHERE StudyTime IS NOT NULL ORDER BY 1

-- nulls come first
SELECT DISTINCT PatientSex FROM dicom.archive ORDER BY PatientSex

-- the latest dates
SELECT DISTINCT StudyDate FROM dicom.archive ORDER BY StudyDate DESC LIMIT 3

-- series with missing slices
SELECT SeriesInstanceUID, COUNT(DISTINCT n) AS have, MAX(n) - MIN(n) + 1 AS want FROM (SELECT SeriesInstanceUID, SAFE_CAST(InstanceNumber AS INT64) AS n FROM dicom.archive) GROUP BY 1 HAVING have < want

-- the gap itself
SELECT SeriesInstanceUID, number FROM (SELECT SeriesInstanceUID, MIN(CAST(InstanceNumber AS INT64)) AS a, MAX(CAST(InstanceNumber AS INT64)) AS b FROM dicom.archive WHERE StationName = 'CT01' GROUP BY 1), UNNEST(GENERATE_ARRAY(a, b)) AS number WHERE number NOT IN (SELECT CAST(InstanceNumber AS INT64) FROM dicom.archive WHERE StationName = 'CT01' AND InstanceNumber IS NOT NULL) ORDER BY 1, 2

-- what was before
SELECT InstanceNumber, LAG(InstanceNumber) OVER (ORDER BY InstanceNumber) AS previous FROM dicom.archive WHERE SeriesDescription = 'THIN' ORDER BY 1

-- shares of a whole
SELECT Modality, ROUND(COUNT(*) / SUM(COUNT(*)) OVER (), 4) AS share FROM dicom.archive GROUP BY Modality ORDER BY Modality

-- a division by nothing
SELECT PatientID, SAFE_DIVIDE(SUM(`Rows`), COUNTIF(Modality = 'nothing')) AS none, IF(COUNT(*) > 1, 'several', 'one') AS many FROM dicom.archive GROUP BY PatientID ORDER BY PatientID

-- whole division and rest
SELECT SOPInstanceUID, DIV(BlobStorageSize, 1000) AS kb, MOD(BlobStorageSize, 1000) AS rest, BlobStorageSize / 1000 AS exact FROM dicom.archive WHERE Modality IN ('DX', 'SEG') ORDER BY 1

-- numbers are rounded away from zero
SELECT ROUND(2.5) AS a, ROUND(-2.5) AS b, CAST(2.5 AS INT64) AS c, CAST(-1.5 AS INT64) AS d, TRUNC(-2.7) AS e, CEIL(2.1) AS f

-- texts
SELECT SUBSTR(PatientID, 1, 2) AS a, STRPOS(PatientID, '-') AS b, SPLIT(PatientID, '-')[SAFE_OFFSET(1)] AS c, LPAD(PatientSex, 3, '.') AS d, REPLACE(StudyDescription, 'CHEST', 'THORAX') AS e, INITCAP(StudyDescription) AS f FROM dicom.archive WHERE StationName LIKE 'CT0_' AND SAFE_CAST(InstanceNumber AS INT64) = 1 AND Modality = 'CT' ORDER BY 1

-- patterns
SELECT DISTINCT Manufacturer, REGEXP_CONTAINS(Manufacturer, r'(?i)^ge\b') AS ge, REGEXP_EXTRACT(Manufacturer, r'^(\w+)') AS first, REGEXP_REPLACE(Manufacturer, r'[aeiou]', '') AS short FROM dicom.archive ORDER BY 1

-- patients of several modalities by a join
SELECT a.PatientID, COUNT(*) AS pairs FROM dicom.archive AS a JOIN dicom.archive AS b USING (StudyInstanceUID) WHERE a.SOPInstanceUID < b.SOPInstanceUID GROUP BY a.PatientID ORDER BY 1

-- a common table expression
WITH ct AS (SELECT * FROM dicom.archive WHERE Modality = 'CT'), thin AS (SELECT * FROM ct WHERE SAFE_CAST(SliceThickness AS FLOAT64) < 3) SELECT (SELECT COUNT(*) FROM ct) AS ct, (SELECT COUNT(*) FROM thin) AS thin

-- what one has and the other not
SELECT SOPInstanceUID FROM dicom.archive WHERE Modality = 'CT' EXCEPT DISTINCT SELECT SOPInstanceUID FROM dicom.archive WHERE KVP = '100' ORDER BY 1

-- both together
SELECT Modality AS what FROM dicom.archive WHERE Modality < 'D' UNION DISTINCT SELECT PatientSex FROM dicom.archive ORDER BY 1

-- the largest of each
SELECT Modality, ARRAY_AGG(SOPInstanceUID ORDER BY BlobStorageSize DESC, SOPInstanceUID LIMIT 2) AS largest FROM dicom.archive GROUP BY Modality ORDER BY Modality

-- a record that is made
SELECT STRUCT(Modality AS m, COUNT(*) AS n) AS pair FROM dicom.archive GROUP BY Modality ORDER BY Modality

-- cases
SELECT CASE WHEN SAFE_CAST(SliceThickness AS FLOAT64) < 2 THEN 'thin' WHEN SliceThickness IS NULL THEN 'unknown' ELSE 'thick' END AS class, COUNT(*) AS n FROM dicom.archive GROUP BY class ORDER BY class

-- a record without value
SELECT COUNT(*) AS n, COUNTIF(PatientName IS NULL) AS none, COUNTIF(PatientName.Ideographic.FamilyName IS NULL) AS no_ideographic, COALESCE(MAX(PatientName.Ideographic.FamilyName), '') AS one FROM dicom.archive

-- a prefix of names
SELECT DISTINCT StationName FROM dicom.archive WHERE STARTS_WITH(StationName, 'CT') AND NOT ENDS_WITH(StationName, '2') ORDER BY 1

-- the view of the newest rows
SELECT Modality, COUNT(*) AS n FROM dicom.archiveView GROUP BY Modality ORDER BY Modality

-- types of records and arrays
SELECT column_name, data_type FROM dicom.INFORMATION_SCHEMA.COLUMNS WHERE table_name = 'archive' AND column_name IN ('OtherElements', 'PatientName', 'PixelSpacing') ORDER BY 1

-- an array that was not written is empty and not NULL
SELECT COUNTIF(SegmentSequence IS NULL) AS none, COUNTIF(ARRAY_LENGTH(SegmentSequence) = 0) AS empty, COUNTIF(StudyDate IS NULL) AS undated FROM dicom.archive

-- values as JSON
SELECT TO_JSON_STRING(CTDIvol) AS a, TO_JSON_STRING(LastUpdated) AS b, TO_JSON_STRING(StudyDate) AS c, TO_JSON_STRING(ImageType) AS d, TO_JSON_STRING(2.0) AS e, TO_JSON_STRING(PatientSex) AS f, TO_JSON_STRING(9007199254740993) AS g FROM dicom.archive WHERE SeriesDescription = 'THIN' AND InstanceNumber = '1'

-- large numbers as text
SELECT CAST(1234567890123456.0 AS STRING) AS a, CAST(1e15 AS STRING) AS b, CAST(0.5 AS STRING) AS c, CAST(123456.0 AS STRING) AS d

-- more: subtotals
SELECT PatientID, COUNT(*) AS n FROM dicom.archive GROUP BY ROLLUP(PatientID) ORDER BY 1, 2

-- more: several groupings at once
SELECT Modality, PatientSex, COUNT(*) AS n FROM dicom.archive GROUP BY GROUPING SETS ((Modality), (PatientSex)) ORDER BY 1, 2, 3

-- more: a running total
SELECT Modality, SUM(COUNT(*)) OVER (ORDER BY Modality ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS running FROM dicom.archive GROUP BY Modality ORDER BY 1

-- more: a moving mean
SELECT SOPInstanceUID, AVG(BlobStorageSize) OVER (PARTITION BY SeriesInstanceUID ORDER BY SOPInstanceUID ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING) AS mean FROM dicom.archive WHERE Modality = 'CT' ORDER BY 1

-- more: the first of a window
SELECT SOPInstanceUID, FIRST_VALUE(SOPInstanceUID) OVER (PARTITION BY SeriesInstanceUID ORDER BY SAFE_CAST(InstanceNumber AS INT64) DESC) AS last FROM dicom.archive WHERE Modality = 'CT' ORDER BY 1

-- more: the one after the next, with a default
SELECT SOPInstanceUID, LEAD(InstanceNumber, 2, 'none') OVER (PARTITION BY SeriesInstanceUID ORDER BY InstanceNumber) AS later FROM dicom.archive WHERE Modality = 'CT' ORDER BY 1

-- more: ranks in a named window
SELECT Modality, RANK() OVER w AS r, DENSE_RANK() OVER w AS d, NTILE(2) OVER (ORDER BY n, Modality) AS half FROM (SELECT Modality, COUNT(*) AS n FROM dicom.archive GROUP BY 1) WINDOW w AS (ORDER BY n DESC) ORDER BY 2, 1

-- more: a number made of text in a window
SELECT SOPInstanceUID, PERCENT_RANK() OVER (ORDER BY SAFE_CAST(SliceThickness AS FLOAT64)) AS p FROM dicom.archive ORDER BY 1, 2

-- more: the latest row of a patient
SELECT PatientID, SOPInstanceUID FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY PatientID ORDER BY LastUpdated DESC, SOPInstanceUID) AS rn FROM dicom.archive) WHERE rn = 1 ORDER BY 1

-- more: weeks begin on Sunday, or where they are told to
SELECT DATE_TRUNC(DATE '2024-05-15', WEEK) AS a, DATE_TRUNC(DATE '2024-05-15', WEEK(MONDAY)) AS b, DATE_TRUNC(DATE '2017-11-05', WEEK(TUESDAY)) AS c, DATE_TRUNC(DATE '2015-06-15', ISOYEAR) AS d, DATE_TRUNC(DATE '2024-05-15', QUARTER) AS e

-- more: borders of weeks between dates
SELECT DATE_DIFF(DATE '2017-10-15', DATE '2017-10-14', WEEK) AS a, DATE_DIFF(DATE '2017-10-16', DATE '2017-10-15', WEEK) AS b, DATE_DIFF(DATE '2017-12-18', DATE '2017-12-17', WEEK(MONDAY)) AS c, DATE_DIFF(DATE '2017-12-30', DATE '2014-12-30', ISOYEAR) AS d, DATE_DIFF(DATE '2017-10-14', DATE '2017-10-15', WEEK) AS e

-- more: months that are shorter
SELECT DATE_ADD(DATE '2024-01-31', INTERVAL 1 MONTH) AS a, DATE_SUB(DATE '2024-02-29', INTERVAL 1 YEAR) AS b, LAST_DAY(DATE '2024-02-03', WEEK) AS c, LAST_DAY(DATE '2024-02-03', QUARTER) AS d, DATETIME_SUB(DATETIME '2024-03-31 10:00:00', INTERVAL 1 MONTH) AS e

-- more: parts of dates
SELECT EXTRACT(WEEK FROM DATE '2024-01-07') AS a, EXTRACT(ISOWEEK FROM DATE '2021-01-01') AS b, EXTRACT(ISOYEAR FROM DATE '2021-01-01') AS c, EXTRACT(DAYOFYEAR FROM DATE '2024-12-31') AS d, FORMAT_DATE('%G-W%V %j %U', DATE '2021-01-03') AS e

-- more: hours between times
SELECT DATETIME_DIFF(DATETIME '2018-01-02 00:30:00', DATETIME '2018-01-01 23:59:59', HOUR) AS a, TIMESTAMP_DIFF(TIMESTAMP '2018-01-02 00:30:00', TIMESTAMP '2018-01-01 23:59:59', HOUR) AS b, TIME_DIFF(TIME '15:30:00', TIME '14:35:00', HOUR) AS c, TIME_ADD(TIME '23:30:00', INTERVAL 60 MINUTE) AS d

-- more: other time zones
SELECT DATE(TIMESTAMP '2024-02-29 23:00:00+00', 'Asia/Tokyo') AS a, EXTRACT(HOUR FROM TIMESTAMP '2024-05-06 07:08:09+00' AT TIME ZONE 'America/New_York') AS b, FORMAT_TIMESTAMP('%F %T', TIMESTAMP '2024-05-06 07:08:09+00', 'Asia/Tokyo') AS c, TIMESTAMP_TRUNC(TIMESTAMP '2024-05-06 01:08:09+00', DAY, 'America/New_York') AS d, TIMESTAMP('2024-05-06 07:08:09', 'America/New_York') AS e

-- more: seconds since 1970 are rounded down
SELECT UNIX_SECONDS(TIMESTAMP '1970-01-01 00:00:01.7+00') AS a, UNIX_SECONDS(TIMESTAMP '1969-12-31 23:59:59.5+00') AS b, UNIX_MILLIS(TIMESTAMP '1970-01-01 00:00:01.0007+00') AS c, TIMESTAMP_MILLIS(1500) AS d, UNIX_DATE(DATE '1970-02-01') AS e

-- more: texts become dates and times
SELECT PARSE_DATE('%Y%m%d', '20240229') AS a, PARSE_DATE('%d/%m/%Y', '5/1/2024') AS b, SAFE.PARSE_DATE('%Y%m%d', '20240230') AS c, PARSE_TIME('%H%M%S', '101112') AS d, SAFE.PARSE_TIMESTAMP('%Y%m%d%H%M%S', '20240105101112') AS e

-- more: texts in parts
SELECT SPLIT('a,b,,c', ',') AS a, SPLIT('', ',') AS b, LEFT('abc', 5) AS c, RIGHT('abc', 2) AS d, SUBSTR('abcdef', -2) AS e, LPAD('abc', 6, 'xy') AS f, TRIM('xyaxy', 'yx') AS g, REVERSE('abc') AS h, REPEAT('ab', 2) AS i

-- more: letters
SELECT CHAR_LENGTH('äöü') AS a, BYTE_LENGTH('äöü') AS b, UPPER('straße') AS c, LOWER('ÄÖ') AS d, INITCAP('a-b c_d') AS e, TO_HEX(MD5('a')) AS f, UNICODE('ä') AS g, TRANSLATE('abc', 'ab', 'x') AS h, STRPOS('abc', 'z') AS i

-- more: patterns with groups
SELECT REGEXP_EXTRACT('foobar', r'o(b)') AS a, REGEXP_EXTRACT('foobar', r'z') AS b, REGEXP_EXTRACT_ALL('a1b22', r'([a-z])\d+') AS c, REGEXP_REPLACE('abc', r'(b)', r'[\1]') AS d, REGEXP_EXTRACT('a1b2c3', r'\d', 1, 2) AS e, REGEXP_INSTR('ab@cd.com', '@[^.]*') AS f

-- more: three truths
SELECT 1 IN (2, NULL) AS a, 1 NOT IN (2, NULL) AS b, 1 IN (1, NULL) AS c, NULL IS NOT DISTINCT FROM NULL AS d, GREATEST(1, NULL, 3) AS e, 'a' || NULL AS f, IF(NULL, 1, 2) AS g, CASE WHEN NULL THEN 1 ELSE 2 END AS h

-- more: aggregates of nothing
SELECT SUM(x) AS a, AVG(x) AS b, MIN(x) AS c, COUNT(x) AS d, ARRAY_AGG(x IGNORE NULLS) AS e, STRING_AGG(CAST(x AS STRING)) AS f, LOGICAL_AND(x > 1) AS g, STDDEV(x) AS h FROM (SELECT CAST(NULL AS INT64) AS x)

-- more: spread
SELECT VAR_SAMP(x) AS a, VAR_POP(x) AS b, STDDEV_SAMP(x) AS c, CORR(x, x * 2) AS d, COVAR_POP(x, x) AS e, APPROX_QUANTILES(x, 4) AS f FROM UNNEST([1, 2, 3, 4, 5]) AS x

-- more: the spread of one value
SELECT STDDEV_SAMP(x) AS a, VAR_POP(x) AS b, CORR(x, x) AS c FROM UNNEST([5]) AS x

-- more: medians
SELECT DISTINCT Modality, PERCENTILE_CONT(BlobStorageSize, 0.5) OVER (PARTITION BY Modality) AS median, PERCENTILE_DISC(BlobStorageSize, 0.5) OVER (PARTITION BY Modality) AS one FROM dicom.archive ORDER BY 1

-- more: arrays are made
SELECT ARRAY_CONCAT([1, 2], [3]) AS a, ARRAY_REVERSE([1, 2, 3]) AS b, ARRAY(SELECT x * 2 FROM UNNEST([1, 2, 3]) AS x ORDER BY x DESC) AS c, GENERATE_ARRAY(3, 1, -1) AS d, ARRAY_TO_STRING(['a', NULL, 'b'], ',', '?') AS e, GENERATE_DATE_ARRAY(DATE '2024-01-01', DATE '2024-01-10', INTERVAL 3 DAY) AS f

-- more: records from the items of a sequence
SELECT SOPInstanceUID, ARRAY(SELECT AS STRUCT r.RequestedProcedureID AS id FROM UNNEST(RequestAttributesSequence) AS r ORDER BY r.RequestedProcedureID DESC) AS ids FROM dicom.archive WHERE StationName = 'CT01' AND Modality = 'CT' ORDER BY 1 LIMIT 2

-- more: values of an array as one text in their order
SELECT SOPInstanceUID, (SELECT STRING_AGG(v, '/' ORDER BY o) FROM UNNEST(ImageType) AS v WITH OFFSET AS o) AS type FROM dicom.archive WHERE Modality IN ('MR', 'CT') ORDER BY 1

-- more: the largest of an array
SELECT SOPInstanceUID, (SELECT MAX(SAFE_CAST(p AS FLOAT64)) FROM UNNEST(PixelSpacing) AS p) AS spacing FROM dicom.archive ORDER BY 1, 2

-- more: numbers are ordered, and what is none comes first
SELECT Modality, AVG(SAFE_CAST(PixelSpacing[SAFE_OFFSET(0)] AS FLOAT64)) AS spacing FROM dicom.archive GROUP BY 1 ORDER BY spacing DESC, 1

-- more: NaN is the least
SELECT x FROM UNNEST([1.0, CAST('nan' AS FLOAT64), NULL, CAST('-inf' AS FLOAT64)]) AS x ORDER BY x

-- more: NaN equals nothing
SELECT x = x AS a, x > 1 AS b, x < 1 AS c, x != 1 AS d, NOT x >= 1 AS e FROM (SELECT CAST('nan' AS FLOAT64) AS x)

-- more: dose in classes
SELECT CASE WHEN CTDIvol IS NULL THEN 'none' WHEN CTDIvol < 5 THEN 'low' ELSE 'high' END AS class, COUNT(*) AS n, MIN(CTDIvol) AS least FROM dicom.archive GROUP BY class ORDER BY n

-- more: which texts are values
SELECT SAFE_CAST('1.5' AS INT64) AS a, SAFE_CAST('0x1F' AS INT64) AS b, SAFE_CAST('yes' AS BOOL) AS c, SAFE_CAST('1_0.5' AS FLOAT64) AS d, SAFE_CAST('2024/01/05' AS DATE) AS e, SAFE_CAST('10:11' AS TIME) AS f, SAFE_CAST('1e3' AS FLOAT64) AS g, SAFE_CAST('2024-1-5' AS DATE) AS h

-- more: numbers
SELECT 7 / 2 AS a, DIV(-7, 2) AS b, MOD(-7, 3) AS c, ROUND(1234.567, -2) AS d, TRUNC(-1.7) AS e, SIGN(-3) AS f, POW(2, 10) AS g, LOG(100, 10) AS h, SAFE_DIVIDE(1, 0) AS i, SAFE.LN(0) AS j, 5 & 3 AS k, 1 << 4 AS l

-- more: decimals
SELECT SAFE_CAST('1.50' AS NUMERIC) AS a, NUMERIC '1.5' + 1 AS b, ROUND(NUMERIC '2.345', 2) AS c, CAST(2 AS NUMERIC) AS d

-- more: texts are compared by their code points
SELECT x FROM UNNEST(['b', 'A', 'a', 'B', 'ä', NULL]) AS x ORDER BY x

-- more: values in JSON text
SELECT JSON_VALUE('{"a": {"b": "x"}}', '$.a.b') AS a, JSON_QUERY('{"a": [1, 2]}', '$.a') AS b, JSON_VALUE('{"a": [1]}', '$.a') AS c, JSON_VALUE('{"a": null}', '$.a') AS d, JSON_VALUE_ARRAY('{"a": ["x", "y"]}', '$.a') AS e, JSON_VALUE('{"a.b": "x"}', '$."a.b"') AS f

-- more: all of both sides
SELECT a.PatientID, b.n FROM (SELECT DISTINCT PatientID FROM dicom.archive) AS a FULL OUTER JOIN (SELECT PatientID, COUNT(*) AS n FROM dicom.archive WHERE Modality = 'CT' GROUP BY 1) AS b USING (PatientID) ORDER BY 1

-- more: those without a partner
SELECT PatientID FROM dicom.archive AS a WHERE NOT EXISTS (SELECT 1 FROM dicom.archive AS b WHERE b.PatientID = a.PatientID AND b.Modality = 'CT') ORDER BY 1

-- more: an expression that calls itself
WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t WHERE n < 4) SELECT n FROM t ORDER BY n

-- more: who goes with the greatest
SELECT Modality, MAX_BY(SOPInstanceUID, BlobStorageSize) AS largest, ANY_VALUE(SOPInstanceUID HAVING MIN BlobStorageSize) AS least FROM dicom.archive WHERE Modality IN ('DX', 'MR') GROUP BY 1 ORDER BY 1
