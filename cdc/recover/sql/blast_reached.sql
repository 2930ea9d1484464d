-- Records that point to the touched ones, by the field they do it with, as far as the journal knows.
WITH
touched AS (SELECT DISTINCT record_id FROM temp.meant),
pointers AS (
    SELECT entity, d.field.path AS field
    FROM (
        SELECT entity, unnest(
            json_transform(arg_max(fields, at_seq), '[{"path": "VARCHAR", "type": "VARCHAR", "reference_to": ["VARCHAR"]}]')
        ) AS field
        FROM store.descriptions
        GROUP BY entity
    ) d
    WHERE d.field."type" = 'reference' AND d.field.path NOT IN ('CreatedById', 'LastModifiedById', 'OwnerId')
      AND list_has_any(d.field.reference_to, (SELECT list(DISTINCT entity) FROM temp.meant))
)
SELECT entity, field, count(*) AS records, count(DISTINCT value) AS of_records
FROM (
    SELECT f.entity, f.field, f.record_id, arg_max(f.value, f.seq) AS value
    FROM main.field_changes f
    SEMI JOIN pointers p ON p.entity = f.entity AND p.field = f.field
    WHERE f.known
    GROUP BY f.entity, f.field, f.record_id
) last
SEMI JOIN touched t ON t.record_id = last.value
GROUP BY entity, field
ORDER BY records DESC, entity, field;
