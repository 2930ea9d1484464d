-- The ordinals of some records' changes as ranges.
WITH
theirs AS (
    SELECT DISTINCT seq
    FROM store.changes
    WHERE entity = $entity AND record_id IN (SELECT unnest($ids::VARCHAR[])) AND fold_rank < 2
),
grouped AS (SELECT seq, seq - row_number() OVER (ORDER BY seq) AS range FROM theirs)
SELECT min(seq), max(seq) FROM grouped GROUP BY range ORDER BY 1;
