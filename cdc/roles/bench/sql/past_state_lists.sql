-- Every record in the middle of the year, its fields as two lists.
SELECT count(*), sum(len(f)), sum(len(v))
FROM (
    SELECT record_id, list(field) AS f, list(value) AS v
    FROM answer.folded('Account', NULL, NULL, TIMESTAMP '2025-07-01', answer.no_cut())
    WHERE is_known
    GROUP BY record_id
);
