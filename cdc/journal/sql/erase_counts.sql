-- How much is held of some records, and the newest change of them.
SELECT
    count(*),
    (SELECT count(*) FROM store.fields WHERE entity = $entity AND record_id IN (SELECT unnest($ids::VARCHAR[]))),
    max(seq)
FROM store.changes
WHERE entity = $entity AND record_id IN (SELECT unnest($ids::VARCHAR[]));
