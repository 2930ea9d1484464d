-- Every record now, its fields as two lists.
SELECT count(*), sum(len(f)), sum(len(v))
FROM (
    SELECT record_id, list(field) AS f, list(value) AS v
    FROM answer.folded('Account', NULL, NULL, 'infinity'::TIMESTAMP, answer.no_cut())
    WHERE is_known
    GROUP BY record_id
);
