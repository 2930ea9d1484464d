-- Incidents, the newest first.
SELECT
    incident_id, state, severity, opened_at, title, alert_id, first_change_at, last_change_at, contained_at,
    acknowledged_by, note
FROM main.incidents
WHERE $state = '' OR state = $state
ORDER BY opened_at DESC, incident_id
LIMIT $limit;
