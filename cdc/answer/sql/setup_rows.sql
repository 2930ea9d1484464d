-- The rows of the org's set-up at a moment: of each the last reading that counts by then, and is no delete.
-- $kinds: entity names; $t, $c: the moment.
WITH
readings AS (
    SELECT entity, record_id, max(seq) AS seq, arg_max(kind::VARCHAR, seq) AS kind
    FROM main.changes
    WHERE source = 'setup' AND list_contains($kinds, entity) AND effective_at <= $t::TIMESTAMP AND seq < $c
    GROUP BY entity, record_id
)
SELECT r.entity, r.record_id, r.seq, map(list(f.field), list(f.value)) AS fields
FROM readings r
JOIN main.field_changes f ON f.seq = r.seq AND f.record_id = r.record_id AND f.entity = r.entity
WHERE r.kind <> 'DELETE' AND list_contains($kinds, f.entity)
GROUP BY r.entity, r.record_id, r.seq
ORDER BY r.entity, r.record_id;
