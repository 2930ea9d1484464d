-- The newest drill that went well.
SELECT epoch(started_at) AS at, rto_from_detection_ms / 1000.0 AS rto, rpo_ms / 1000.0 AS rpo
FROM store.drills
WHERE problem = ''
ORDER BY started_at DESC
LIMIT 1;
