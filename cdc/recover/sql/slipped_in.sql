-- Edits that slipped in between a re-read and its write: right before our own event of a record and field stands
-- somebody else's, later than everything the plan knew, and its value is overwritten.
WITH
own AS MATERIALIZED (SELECT seq, entity, record_id FROM answer.own_of($restore_id)),
known AS (SELECT as_of_seq FROM main.restores WHERE restore_id = $restore_id),
ours AS (
    SELECT f.entity, f.record_id, f.field, f.value, max(f.seq) AS seq
    FROM main.field_changes f JOIN own ON own.seq = f.seq AND own.record_id = f.record_id
    WHERE f.field NOT IN ('LastModifiedDate', 'LastModifiedById', 'SystemModstamp')
    GROUP BY ALL
),
theirs AS (
    SELECT o.entity, o.record_id, o.field, o.value AS ours, f.value AS theirs, f.seq, c.user_id, c.committed_at
    FROM ours o
    JOIN known ON true
    JOIN main.field_changes f ON f.entity = o.entity AND f.record_id = o.record_id AND f.field = o.field
        AND f.seq < o.seq AND f.seq > known.as_of_seq
    JOIN main.changes c ON c.seq = f.seq AND c.record_id = f.record_id AND c.source IN ('pubsub', 'cometd')
    ANTI JOIN own ON own.seq = f.seq AND own.record_id = f.record_id
)
SELECT entity, record_id, field, theirs, ours, user_id, committed_at, seq
FROM theirs
QUALIFY row_number() OVER (PARTITION BY record_id, field ORDER BY seq DESC) = 1
ORDER BY seq
LIMIT 1000;
