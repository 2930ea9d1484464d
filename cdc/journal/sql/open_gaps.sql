-- A change without its values hides what the record says until it is read again; an overflow or a wildcard
-- id hides it of every record. Of a GAP_DELETE nothing is hidden.
INSERT INTO store.coverage
SELECT
    'gap-' || seq, seq * 1000, seq, $org, channel, entity, CASE WHEN NOT is_many THEN record_id END,
    effective_at, NULL, 'unknown', reason, kind, seq - 1, NULL, seq
FROM batch_gaps;
