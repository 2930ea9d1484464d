-- The first ordinals up to the one held that stand nowhere, and are not named as lost or as erased.
WITH
told AS (
    SELECT seq, seq AS upto FROM store.changes WHERE fold_rank < 2
    UNION ALL
    SELECT seq, seq FROM store.platform_events
    UNION ALL
    SELECT DISTINCT seq, seq FROM store.quarantine
    UNION ALL
    SELECT first_seq, last_seq FROM store.erased_ordinals
    UNION ALL
    SELECT from_ordinal + 1, min(seq)
    FROM store.coverage
    WHERE starts_with(stretch_id, 'missing-')
    GROUP BY from_ordinal
    UNION ALL
    SELECT $held + 1, $held + 1
),
ordered AS (
    SELECT seq, max(upto) OVER (ORDER BY seq, upto ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS reached
    FROM told
)
SELECT coalesce(reached, 0) + 1, seq - 1
FROM ordered
WHERE seq > coalesce(reached, 0) + 1
ORDER BY seq
LIMIT 1;
