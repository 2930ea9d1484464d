-- The latest version of each alert, the newest first; $alert_id '' is all.
SELECT * FROM main.alerts
WHERE $alert_id = '' OR alert_id = $alert_id
ORDER BY first_change_at DESC, alert_id
LIMIT $limit OFFSET $skip;
