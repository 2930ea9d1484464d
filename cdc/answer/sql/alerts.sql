-- The latest version of each alert, the newest first.
SELECT * FROM main.alerts ORDER BY first_change_at DESC, alert_id LIMIT $limit OFFSET $skip;
