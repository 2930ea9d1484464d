-- Records by what one of their fields said last, before the incident was over: owner, record type.
WITH touched AS (SELECT DISTINCT entity, record_id FROM temp.meant)
SELECT t.entity, f.field, last.value AS value, count(*) AS records
FROM (
    SELECT f.entity, f.record_id, f.field, arg_max({'value': f.value}, f.seq) AS last
    FROM main.field_changes f
    SEMI JOIN touched t ON t.entity = f.entity AND t.record_id = f.record_id
    WHERE f.field IN ('OwnerId', 'RecordTypeId') AND f.known AND f.seq < $last_seq
    GROUP BY f.entity, f.record_id, f.field
) f
JOIN touched t ON t.entity = f.entity AND t.record_id = f.record_id
WHERE last.value IS NOT NULL
GROUP BY ALL
ORDER BY records DESC, t.entity, f.field, value
LIMIT 50;
