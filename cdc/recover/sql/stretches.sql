-- The records of one entity that meant updates wrote, in stretches of at most $records ids, each with the fields written.
WITH numbered AS (
    SELECT record_id, (row_number() OVER (ORDER BY record_id) - 1) // $records AS stretch
    FROM (SELECT DISTINCT record_id FROM temp.meant_writes WHERE entity = $entity AND kind = 'UPDATE')
)
SELECT
    min(record_id) AS lo, max(record_id) AS hi,
    (SELECT list(DISTINCT field) FROM temp.meant_writes WHERE entity = $entity AND kind = 'UPDATE') AS fields
FROM numbered
GROUP BY stretch
ORDER BY stretch;
