-- Restores in the time, with what became of their records; the newest first.
SELECT
    r.restore_id, r.incident_id, r.kind, r.state, r.started_at, r.finished_at, r.requested_by, r.plan_hash,
    count(w.record_id) FILTER (w.result IN ('restored', 'already', 'partly')) AS restored,
    count(w.record_id) FILTER (w.result NOT IN ('restored', 'already', 'partly')) AS not_restored
FROM main.restores r
LEFT JOIN main.restore_records w ON w.restore_id = r.restore_id
WHERE r.started_at IS NOT NULL AND r.started_at BETWEEN $from_at::TIMESTAMP AND $to_at::TIMESTAMP
GROUP BY ALL
ORDER BY r.started_at DESC
LIMIT 200;
