-- Events between two moments in the order they were recorded, each with the values it gave (`said`) and the names of
-- the fields it made unknown: a page behind an ordinal.
WITH page AS (
    SELECT *
    FROM store.changes
    WHERE fold_rank = 0 AND seq > $after AND seq >= $from_c::BIGINT AND seq < $to_c::BIGINT
      AND effective_at >= $from_t::TIMESTAMP AND effective_at <= $to_t::TIMESTAMP
      AND entity IN (SELECT unnest($entities::VARCHAR[]))
    ORDER BY seq
    LIMIT $limit
),
said AS (
    SELECT
        f.seq,
        map(list(f.field) FILTER (f.known), list(f.value) FILTER (f.known)) AS said,
        list(f.field) FILTER (NOT f.known) AS unknown_fields
    FROM store.fields f
    WHERE f.fold_rank = 0 AND f.seq BETWEEN (SELECT min(seq) FROM page) AND (SELECT max(seq) FROM page)
      AND f.seq IN (SELECT seq FROM page)
    GROUP BY f.seq
)
SELECT
    p.seq, p.entity, p.record_id, p.kind::VARCHAR AS kind, p.committed_at, p.effective_at, p.transaction_key,
    p.sequence_number, p.commit_number, p.user_id, p.client, p.origin, p.event_id, p.replay_id, p.source,
    p.changed_fields, p.nulled_fields,
    coalesce(s.said, MAP {}) AS said, coalesce(s.unknown_fields, []) AS unknown_fields
FROM page p LEFT JOIN said s ON s.seq = p.seq
ORDER BY p.seq;
