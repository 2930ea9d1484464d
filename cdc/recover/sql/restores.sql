-- Restores, the newest first.
SELECT restore_id, incident_id, kind, state, planned_at, started_at, finished_at, records, plan_hash, requested_by
FROM main.restores
ORDER BY planned_at DESC, restore_id
LIMIT $limit;
