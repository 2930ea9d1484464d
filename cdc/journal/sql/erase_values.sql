-- The texts that only these records have ever had: what gives them away wherever else it stands.
WITH own AS (
    SELECT DISTINCT value
    FROM store.fields
    WHERE entity = $entity AND record_id IN (SELECT unnest($ids::VARCHAR[])) AND length(value) >= 4
)
SELECT value
FROM own
WHERE value NOT IN (
    SELECT f.value
    FROM store.fields f SEMI JOIN own ON own.value = f.value
    WHERE NOT (f.entity = $entity AND f.record_id IN (SELECT unnest($ids::VARCHAR[])))
);
