-- The changes of a batch that came without values, and why.
SELECT
    seq, channel, entity, record_id, kind, effective_at,
    kind = 'GAP_OVERFLOW' OR contains(record_id, '*') AS is_many,
    CASE
        WHEN kind = 'GAP_OVERFLOW' THEN 'one transaction changed more records than events were sent for'
        WHEN is_many THEN 'every record of the entity was changed, and no values were sent'
        ELSE 'the record was changed, and the event did not carry the values'
    END AS reason
FROM batch_changes
WHERE fold_rank = 0
  AND (kind IN ('GAP_CREATE', 'GAP_UPDATE', 'GAP_UNDELETE', 'GAP_OVERFLOW') OR contains(record_id, '*'));
