-- The chain of sealed segments, the newest first.
SELECT segment, kind, first_seq, last_seq, rows, field_rows, first_committed_at, last_committed_at, sealed_at, is_live,
    signature IS NOT NULL AS signed, sha256
FROM main.seals
ORDER BY segment DESC
LIMIT $limit;
