-- The latest version of an incident that was opened.
SELECT
    incident_id, version, alert_id, title, state, scope, epoch_ms(opened_at) AS opened_at, by_whom, note,
    epoch_ms(contained_at) AS contained_at
FROM store.incidents
WHERE incident_id = $incident_id
ORDER BY version DESC
LIMIT 1;
