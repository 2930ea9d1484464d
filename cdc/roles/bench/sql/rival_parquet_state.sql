SELECT count(*), sum(len(f)), sum(len(v))
FROM (
    SELECT record_id, list(field) AS f, list(said.value) AS v
    FROM (
        SELECT record_id, field, arg_max({{'value': value}}, seq) AS said
        FROM read_parquet('{path}')
        WHERE changed_at <= TIMESTAMP '2025-07-01'
        GROUP BY record_id, field
    )
    GROUP BY record_id
);
