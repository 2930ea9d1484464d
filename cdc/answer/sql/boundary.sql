-- Where a moment cuts: the last change of an entity that counts and the first that does not.
WITH sides AS (
    SELECT seq, transaction_key, date_trunc('second', effective_at) AS second,
        effective_at <= $t::TIMESTAMP AND seq < $c::BIGINT AS counts
    FROM store.changes
    WHERE entity = $entity AND fold_rank = 0
),
last_in AS (SELECT arg_max({'key': transaction_key, 'second': second}, seq) AS side FROM sides WHERE counts),
first_out AS (SELECT arg_min({'key': transaction_key, 'second': second}, seq) AS side FROM sides WHERE NOT counts)
SELECT
    coalesce(last_in.side.key = first_out.side.key, false) AS cuts_transaction,
    coalesce(last_in.side.second = first_out.side.second, false) AS cuts_second,
    last_in.side.key AS transaction_key
FROM last_in, first_out;
