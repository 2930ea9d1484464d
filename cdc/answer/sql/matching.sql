-- Records of an entity at a moment that meet a condition (condition_sql.py puts its SQL in; with $maybe also
-- those of which it is unknown), a page of them in the order of their ids; and beside each how many records
-- there are of which it is unknown, and the first few. One row with a NULL record where no record meets it.
WITH
met AS MATERIALIZED (
    SELECT *, {condition} AS matches
    FROM answer.states($entity, NULL::VARCHAR, NULL::VARCHAR, $t::TIMESTAMP, $c::BIGINT)
    WHERE {condition} IS NOT false
),
undecided AS (
    SELECT count(*) AS undecided, list_sort(list(record_id))[:3] AS undecided_first FROM met WHERE matches IS NULL
),
page AS (
    SELECT * FROM met WHERE (matches OR $maybe) AND record_id > $after ORDER BY record_id LIMIT $limit
)
SELECT page.*, undecided.*
FROM undecided LEFT JOIN page ON true
ORDER BY record_id;
