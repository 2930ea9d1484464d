-- The ordinal to cut before: of a change by its own ordinal (also one of an event that could not be read, and the
-- one behind the last), of a transaction by its key, of an incident the first change its scope may mean, and of an
-- alert the first change that its entities and users made since it began.
WITH
-- Filters of the incident's scope. What narrows them further can only move the first change back.
incident AS (
    SELECT unnest((scope -> 'include')::JSON[]) AS f FROM main.incidents WHERE incident_id = $asked
),
alert AS (
    SELECT
        first_change_at,
        at_ordinal,
        list_transform(CAST(targets AS JSON[]), lambda x: x ->> 'entity') AS entities,
        list_transform(CAST(actors AS JSON[]), lambda x: x ->> 'user_id') AS users
    FROM store.alerts
    WHERE alert_id = $asked OR alert_id = (SELECT any_value(alert_id) FROM main.incidents WHERE incident_id = $asked)
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
        FROM store.changes s, incident
        WHERE s.fold_rank = 0
          AND coalesce(epoch_ms(s.committed_at) >= (f ->> 'from_at')::BIGINT, true)
          AND coalesce(epoch_ms(s.committed_at) <= (f ->> 'to_at')::BIGINT, true)
          AND coalesce(s.seq >= (f ->> 'first_seq')::BIGINT, true)
          AND coalesce(s.seq <= (f ->> 'last_seq')::BIGINT, true)
          AND coalesce(json_array_length(f -> 'users') = 0 OR list_contains((f -> 'users')::VARCHAR[], s.user_id), true)
          AND coalesce(
              json_array_length(f -> 'entities') = 0 OR list_contains((f -> 'entities')::VARCHAR[], s.entity), true
          )
          AND coalesce(
              json_array_length(f -> 'transactions') = 0
              OR list_contains((f -> 'transactions')::VARCHAR[], s.transaction_key), true
          )
          AND coalesce(
              json_array_length(f -> 'clients') = 0 OR list_contains((f -> 'clients')::VARCHAR[], s.client), true
          )
          AND coalesce(
              json_array_length(f -> 'records') = 0 OR list_contains((f -> 'records')::VARCHAR[], s.record_id), true
          )
    ),
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
