-- The newest good drill of each kind, and how many there were.
SELECT
    kind, count(*) AS drills, count(*) FILTER (problem = '') AS good,
    max(started_at) FILTER (problem = '') AS last_good_at,
    arg_max(records, started_at) FILTER (problem = '') AS records,
    arg_max(equal, started_at) FILTER (problem = '') AS equal,
    arg_max(rto_from_detection_ms, started_at) FILTER (problem = '') AS rto_from_detection_ms,
    arg_max(rto_from_decision_ms, started_at) FILTER (problem = '') AS rto_from_decision_ms,
    arg_max(rpo_ms, started_at) FILTER (problem = '') AS rpo_ms,
    arg_max(problem, started_at) AS last_problem
FROM main.drills
GROUP BY kind
ORDER BY last_good_at DESC NULLS LAST;
