-- What is hot up to an ordinal.
SELECT
    count(*), min(seq), max(seq), min(committed_at), max(committed_at),
    (SELECT count(*) FROM store.hot_fields WHERE seq <= $upto)
FROM store.hot_changes
WHERE seq <= $upto;
