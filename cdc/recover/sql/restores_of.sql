-- The restores of an incident, the newest first.
SELECT restore_id, kind, state, planned_at, started_at, finished_at, records, plan_hash, requested_by
FROM main.restores
WHERE incident_id = $incident_id
ORDER BY planned_at DESC, restore_id;
