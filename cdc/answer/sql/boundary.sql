-- Where a moment cuts: the last change of an entity that counts and the first that does not. What they were is
-- looked up behind it, so that few columns of many rows are read.
WITH
sides AS (
    SELECT
        max(seq) FILTER (effective_at <= $t::TIMESTAMP AND seq < $c::BIGINT) AS last_in,
        min(seq) FILTER (NOT (effective_at <= $t::TIMESTAMP AND seq < $c::BIGINT)) AS first_out
    FROM store.changes
    WHERE entity = $entity AND fold_rank = 0
),
two AS (
    SELECT seq, transaction_key AS key, date_trunc('second', effective_at) AS second
    FROM store.changes
    WHERE entity = $entity AND fold_rank = 0
      AND seq IN (SELECT last_in FROM sides UNION ALL SELECT first_out FROM sides)
)
SELECT
    coalesce(a.key = b.key, false) AS cuts_transaction,
    coalesce(a.second = b.second, false) AS cuts_second,
    a.key AS transaction_key
FROM sides
LEFT JOIN two a ON a.seq = last_in
LEFT JOIN two b ON b.seq = first_out;
