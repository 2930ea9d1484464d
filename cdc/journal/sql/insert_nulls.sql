-- CREATE and UNDELETE carry the whole record: a field without a value is null, if this user may read it
-- (the description in force at that place) and the event could have carried it (its schema). Of a field
-- that may have two shapes (a name as one text, or in parts) only the shape that came is spoken of. Nothing is said of
-- a formula, or another value that changes without an event: of these the description is `unstreamed`.
INSERT INTO store.hot_fields
WITH
whole AS (
    SELECT
        c.seq, c.entity, c.record_id, c.kind, c.effective_at, c.committed_at, c.schema_id,
        (SELECT max(d.at_seq) FROM store.descriptions d WHERE d.entity = c.entity AND d.at_seq < c.seq) AS at_seq
    FROM batch_changes c
    WHERE c.fold_rank = 0 AND c.kind IN ('CREATE', 'UNDELETE') AND NOT contains(c.record_id, '*')
),
given AS (
    SELECT f.seq, f.field FROM batch_fields f WHERE f.fold_rank = 0 AND f.kind IN ('CREATE', 'UNDELETE')
),
given_parts AS (
    SELECT DISTINCT seq, split_part(field, '.', 1) AS parent FROM given WHERE contains(field, '.')
)
SELECT
    w.seq, $org, w.entity, w.record_id, s.path, NULL, true, w.kind, w.effective_at, w.committed_at, w.seq, 0, NULL
FROM whole w
JOIN store.schema_fields s ON s.schema_id = w.schema_id
JOIN store.readable_fields r ON r.entity = w.entity AND r.at_seq = w.at_seq AND r.path = s.path
JOIN store.descriptions d ON d.entity = w.entity AND d.at_seq = w.at_seq
LEFT JOIN given_parts p ON p.seq = w.seq AND p.parent = split_part(s.path, '.', 1)
ANTI JOIN given g ON g.seq = w.seq AND g.field = s.path
WHERE (NOT s.is_alternative OR (contains(s.path, '.') AND p.seq IS NOT NULL))
  AND NOT contains(coalesce(d.unstreamed, ''), '"' || s.path || '"')
ORDER BY w.seq, s.path;
