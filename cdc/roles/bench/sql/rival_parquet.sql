COPY (
    SELECT seq, entity, record_id, field, value, effective_at AS changed_at
    FROM read_parquet('{files}')
    ORDER BY seq
) TO '{path}' (FORMAT parquet, COMPRESSION zstd);
