-- For each entity the ordinals between which its events lie that are between two moments: the first, and the one
-- behind the last (of full states, their places). Without a first moment it begins before everything.
SELECT
    e.entity,
    CASE
        WHEN $from_t::TIMESTAMP = '-infinity'::TIMESTAMP THEN $from_c::BIGINT
        ELSE coalesce(
            min(s.seq) FILTER (s.fold_rank = 0 AND s.effective_at >= $from_t::TIMESTAMP),
            1 + max(s.fold_seq) FILTER (s.effective_at < $from_t::TIMESTAMP),
            0
        )
    END AS first_seq,
    least(
        coalesce(min(s.seq) FILTER (s.fold_rank = 0 AND s.effective_at > $to_t::TIMESTAMP), answer.no_cut()),
        $to_c::BIGINT
    ) AS end_seq
FROM (SELECT unnest($entities::VARCHAR[]) AS entity) e
LEFT JOIN store.changes s ON s.entity = e.entity
GROUP BY e.entity
ORDER BY e.entity;
