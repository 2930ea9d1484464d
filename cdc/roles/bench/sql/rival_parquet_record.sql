SELECT * FROM read_parquet('{path}') WHERE record_id = '{id}' ORDER BY seq;
