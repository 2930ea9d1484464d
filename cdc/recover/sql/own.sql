-- The events of the journal that are a restore's own (schemas/README.md): by its user, in its time, of a record
-- it was to write, each field of the intention that the event names having the value written.
-- `main.own_of(restore)` gives seq, entity, record_id, transaction_key.
CREATE OR REPLACE MACRO answer.own_of(restore) AS TABLE
WITH
run AS (
    SELECT user_id, started_at, coalesce(finished_at, TIMESTAMP '9999-01-01') + INTERVAL 1 MINUTE AS until
    FROM main.restores WHERE restore_id = restore
),
wanted AS (
    SELECT r.entity, coalesce(n.new_record_id, r.record_id) AS record_id, r.kind, r.fields
    FROM store.restore_records r
    LEFT JOIN (
        SELECT DISTINCT record_id, new_record_id FROM store.restore_records
        WHERE restore_id = restore AND new_record_id IS NOT NULL
    ) n ON n.record_id = r.record_id
    WHERE r.restore_id = restore AND r.version = 1
),
candidates AS (
    SELECT c.seq, c.entity, c.record_id, c.kind::VARCHAR AS kind, c.transaction_key
    FROM main.changes c, run
    WHERE c.user_id = run.user_id AND c.source IN ('pubsub', 'cometd')
      AND c.committed_at BETWEEN date_trunc('second', run.started_at) - INTERVAL 2 SECONDS AND run.until
),
matched AS (
    SELECT c.*, w.fields AS wanted_fields
    FROM candidates c
    JOIN wanted w ON w.entity = c.entity AND w.record_id = c.record_id
        AND c.kind = CASE w.kind WHEN 'REPARENT' THEN 'UPDATE' ELSE w.kind END
),
named AS (
    SELECT m.seq, m.record_id, f.field, f.value, m.wanted_fields[f.field] AS wanted_value
    FROM matched m
    JOIN main.field_changes f ON f.seq = m.seq AND f.record_id = m.record_id
    WHERE m.kind IN ('UPDATE', 'CREATE') AND map_contains(m.wanted_fields, f.field)
),
judged AS (
    SELECT seq, record_id, bool_and(value IS NOT DISTINCT FROM wanted_value) AS is_own
    FROM named
    GROUP BY seq, record_id
)
SELECT DISTINCT m.seq, m.entity, m.record_id, m.transaction_key
FROM matched m LEFT JOIN judged j ON j.seq = m.seq AND j.record_id = m.record_id
WHERE CASE WHEN m.kind IN ('UPDATE', 'CREATE') THEN coalesce(j.is_own, false) ELSE true END;
