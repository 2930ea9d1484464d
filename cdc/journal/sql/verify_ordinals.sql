-- An ordinal that stands in two rows, if there is one; how many there are, the least and the greatest.
WITH held AS (
    SELECT seq FROM store.changes WHERE fold_rank < 2
    UNION ALL
    SELECT seq FROM store.platform_events
),
counted AS (SELECT seq, count(*) AS times FROM held GROUP BY seq)
SELECT min(seq) FILTER (times > 1), count(*), min(seq), max(seq) FROM counted;
