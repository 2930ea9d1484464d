-- Calls that did something through the API, the newest first: $limit of them behind the first $skip. A call is told
-- before it does anything and again when it was answered; one without a status never was.
WITH said AS (
    SELECT "at", by_whom, TRY_CAST(detail AS JSON) AS detail
    FROM store.decisions
    WHERE kind = 'call'
),
calls AS (
    SELECT
        detail ->> 'call_id' AS call_id,
        min("at") AS called_at,
        max("at") FILTER (WHERE detail ->> 'status' IS NOT NULL) AS answered_at,
        any_value(detail ->> 'what') AS what,
        any_value(detail ->> 'role') AS "role",
        any_value(detail ->> 'token') AS token,
        any_value(by_whom) AS "by",
        any_value(CAST(detail -> 'given' AS VARCHAR)) AS given,
        max(TRY_CAST(detail ->> 'status' AS INTEGER)) AS status
    FROM said
    GROUP BY ALL
)
FROM calls
ORDER BY called_at DESC, call_id
LIMIT $limit OFFSET $skip;
