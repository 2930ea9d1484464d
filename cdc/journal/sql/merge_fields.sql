SELECT * FROM read_parquet($files) ORDER BY entity, record_id, seq, fold_rank, field;
