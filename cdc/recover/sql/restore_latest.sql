-- The latest version of a restore, in the terms of its log record.
SELECT
    restore_id, incident_id, kind, plan_hash, plan_file, state, version, user_id, as_of_seq, records, reason, counts,
    epoch_ms(planned_at) AS planned_at, epoch_ms(started_at) AS started_at, epoch_ms(finished_at) AS ended_at
FROM store.restores
WHERE restore_id = $restore_id
ORDER BY version DESC
LIMIT 1;
