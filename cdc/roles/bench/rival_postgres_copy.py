"""Rows of the segments as CSV on stdout, for COPY: `python -m cdc.roles.bench.rival_postgres_copy FILES`."""

import sys

import duckdb

duckdb.sql("SET enable_progress_bar = false")  # it would be drawn into the rows
duckdb.sql(
    "COPY (SELECT seq, entity, record_id, field, value, effective_at FROM read_parquet('"
    + sys.argv[1].replace("'", "''")
    + "')) TO '/dev/stdout' (FORMAT csv, HEADER false)"
)
