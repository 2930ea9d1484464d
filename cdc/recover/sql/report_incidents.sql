-- Incidents in the time, the newest first.
SELECT incident_id, state, severity, title, opened_at, acknowledged_by, contained_at, note
FROM main.incidents
WHERE opened_at BETWEEN $from_at::TIMESTAMP AND $to_at::TIMESTAMP
ORDER BY opened_at DESC
LIMIT 100;
