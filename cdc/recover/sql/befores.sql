-- For each field the meant updates of one entity wrote on records from $lo to $hi: what it should be (`before`),
-- what they wrote last (`bad`), and what somebody else wrote after that (`later`). $fields: every such field.
-- What it should be is what the last change that is not meant gave it, up to the last meant one; else what was
-- known before the first meant change of all ($cut). An event that hides values in between makes it unknown.
INSERT INTO temp.befores
WITH
bad AS (
    SELECT record_id, field, arg_max({'value': value, 'known': known}, seq) AS bad, max(seq) AS bad_seq
    FROM temp.meant_writes
    WHERE entity = $entity AND kind = 'UPDATE' AND record_id BETWEEN $lo AND $hi
    GROUP BY record_id, field
),
touched AS (SELECT DISTINCT record_id FROM bad),
events AS (
    SELECT seq, record_id, kind::VARCHAR AS kind, user_id
    FROM main.changes
    WHERE entity = $entity AND seq >= $cut AND source IN ('pubsub', 'cometd')
),
others AS (
    SELECT f.record_id, f.field, f.seq, f.value, f.known, e.user_id
    FROM main.field_changes f
    JOIN events e ON e.seq = f.seq AND e.record_id = f.record_id
    SEMI JOIN touched t ON t.record_id = f.record_id
    ANTI JOIN temp.meant_writes w ON w.seq = f.seq AND w.record_id = f.record_id AND w.field = f.field
    WHERE f.entity = $entity AND f.seq >= $cut
),
around AS (
    SELECT
        b.record_id, b.field,
        arg_max({'value': o.value, 'known': o.known, 'seq': o.seq}, o.seq) FILTER (o.seq < b.bad_seq) AS earlier,
        arg_max({'value': o.value, 'known': o.known, 'seq': o.seq, 'user': o.user_id}, o.seq)
            FILTER (o.seq > b.bad_seq) AS later
    FROM bad b JOIN others o ON o.record_id = b.record_id AND o.field = b.field
    GROUP BY b.record_id, b.field
),
hidden AS (
    SELECT b.record_id, b.field, max(e.seq) AS seq
    FROM bad b
    JOIN events e ON starts_with(e.kind, 'GAP_') AND e.seq < b.bad_seq
        AND (e.record_id = b.record_id OR e.kind = 'GAP_OVERFLOW' OR contains(e.record_id, '*'))
    GROUP BY b.record_id, b.field
),
base AS (
    SELECT record_id, field, value, is_known
    FROM answer.folded($entity, $lo, $hi, 'infinity'::TIMESTAMP, $cut::BIGINT) f
    SEMI JOIN touched t ON t.record_id = f.record_id
    WHERE list_contains($fields, f.field)
)
SELECT
    $entity, b.record_id, b.field,
    CASE
        WHEN a.earlier IS NOT NULL AND a.earlier.seq > coalesce(h.seq, -1) THEN a.earlier.value
        WHEN h.seq IS NULL AND s.is_known THEN s.value
    END AS before,
    CASE
        WHEN a.earlier IS NOT NULL AND a.earlier.seq > coalesce(h.seq, -1) THEN a.earlier.known
        ELSE h.seq IS NULL AND coalesce(s.is_known, false)
    END AS before_known,
    CASE
        WHEN before_known THEN ''
        WHEN h.seq IS NOT NULL THEN 'an event just before hid its values'
        ELSE 'the journal had not read it before'
    END AS why,
    b.bad.value, b.bad.known, b.bad_seq,
    a.later.value, a.later.seq, a.later.user
FROM bad b
LEFT JOIN around a ON a.record_id = b.record_id AND a.field = b.field
LEFT JOIN hidden h ON h.record_id = b.record_id AND h.field = b.field
LEFT JOIN base s ON s.record_id = b.record_id AND s.field = b.field;
