-- The alert an incident is about, or would be opened from.
SELECT
    alert_id, title, severity, state, epoch_ms(first_change_at) AS first_change_at,
    epoch_ms(last_change_at) AS last_change_at, epoch_ms(decided_at) AS decided_at, kinds, actors, targets, records,
    merged_into
FROM main.alerts
WHERE alert_id = $alert_id;
