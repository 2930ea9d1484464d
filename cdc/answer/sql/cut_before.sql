-- The ordinal to cut before: of a change by its own ordinal (also one of an event that could not be read, and the
-- one behind the last), of a transaction by its key, of an alert the first change that its entities and users made
-- since it began.
WITH
alert AS (
    SELECT
        first_change_at,
        at_ordinal,
        list_transform(CAST(targets AS JSON[]), lambda x: x ->> 'entity') AS entities,
        list_transform(CAST(actors AS JSON[]), lambda x: x ->> 'user_id') AS users
    FROM store.alerts
    WHERE alert_id = $asked
    ORDER BY version DESC
    LIMIT 1
)
SELECT coalesce(
    (
        SELECT TRY_CAST($asked AS BIGINT)
        WHERE TRY_CAST($asked AS BIGINT) BETWEEN 0 AND (SELECT 1 + max(seq) FROM store.changes)
    ),
    (SELECT min(seq) FROM store.changes WHERE transaction_key = $asked AND fold_rank = 0),
    (
        SELECT min(seq)
        FROM store.changes s, alert
        WHERE s.fold_rank = 0
          AND s.committed_at >= alert.first_change_at
          AND (alert.at_ordinal = 0 OR s.seq <= alert.at_ordinal)
          AND (len(alert.entities) = 0 OR list_contains(alert.entities, s.entity))
          AND (len(alert.users) = 0 OR list_contains(alert.users, s.user_id))
    )
);
