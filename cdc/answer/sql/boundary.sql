-- Where a moment cuts: the last change of an entity that counts and the first that does not. Only those near it can be
-- of one second or of one transaction, whose times lie a second apart at most; one is near a cut by its ordinal.
WITH
near AS MATERIALIZED (
    SELECT seq, transaction_key AS key, date_trunc('second', effective_at) AS second, effective_at <= $t::TIMESTAMP AND seq < $c::BIGINT AS counts
    FROM store.changes
    WHERE entity = $entity AND fold_rank = 0
      AND CASE
          WHEN $c::BIGINT < answer.no_cut() THEN seq BETWEEN $c::BIGINT - 100000 AND $c::BIGINT + 100000
          ELSE effective_at BETWEEN $t::TIMESTAMP - INTERVAL 2 SECOND AND $t::TIMESTAMP + INTERVAL 2 SECOND
      END
),
sides AS (
    SELECT
        arg_max({'key': key, 'second': second}, seq) FILTER (counts) AS a,
        arg_min({'key': key, 'second': second}, seq) FILTER (NOT counts) AS b
    FROM near
)
SELECT
    coalesce(a.key = b.key, false) AS cuts_transaction,
    coalesce(a.second = b.second, false) AS cuts_second,
    a.key AS transaction_key
FROM sides;
