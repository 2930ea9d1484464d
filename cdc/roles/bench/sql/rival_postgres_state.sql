SELECT count(*), sum(n)
FROM (
    SELECT record_id, count(*) AS n, array_agg(field) AS f, array_agg(value) AS v
    FROM (
        SELECT DISTINCT ON (record_id, field) record_id, field, value
        FROM audit
        WHERE changed_at <= '2025-07-01'
        ORDER BY record_id, field, changed_at DESC, seq DESC
    ) AS newest
    GROUP BY record_id
) AS states;
