-- What an event hid is known once it is read: the event says it by itself.
INSERT INTO store.coverage
WITH latest AS (
    SELECT *
    FROM store.coverage
    WHERE to_ordinal IN (SELECT unnest($seqs)) AND starts_with(stretch_id, 'unread-')
    QUALIFY row_number() OVER (PARTITION BY stretch_id ORDER BY version DESC) = 1
)
SELECT
    stretch_id, $place * 1000 + 901, $place, org, channel, entity, record_id, from_at, coalesce(to_at, from_at),
    'repaired', reason, 'read with its schema', from_ordinal, make_timestamp($at), to_ordinal
FROM latest
WHERE status = 'unknown';
