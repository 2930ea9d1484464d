-- Drills, the newest first.
SELECT drill_id, kind, started_at, records, equal, rto_from_detection_ms, rto_from_decision_ms, rpo_ms, problem
FROM main.drills
ORDER BY started_at DESC, drill_id
LIMIT $limit;
