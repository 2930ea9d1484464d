-- What has to be read again because of a change without its values.
INSERT INTO store.needs
SELECT seq, entity, CASE WHEN NOT is_many THEN record_id END, effective_at, reason FROM batch_gaps;
