-- Other alerts of the same time that share an entity or a user with it, and the setup changes of the hour before.
WITH
span AS (
    SELECT min(committed_at) - INTERVAL 15 MINUTES AS from_at, max(committed_at) + INTERVAL 15 MINUTES AS to_at,
        min(committed_at) AS first_at, list(DISTINCT entity) AS entities, list(DISTINCT user_id) AS users
    FROM temp.meant
)
SELECT 'alert' AS what, a.alert_id AS id, a.first_change_at AS "at", a.title AS title
FROM main.alerts a, span
WHERE a.alert_id <> $alert_id AND a.first_change_at <= span.to_at AND a.last_change_at >= span.from_at
  AND (
    list_has_any(list_transform(CAST(a.targets AS JSON[]), lambda x: x ->> 'entity'), span.entities)
    OR list_has_any(list_transform(CAST(a.actors AS JSON[]), lambda x: x ->> 'user_id'), span.users)
  )
UNION ALL
SELECT 'setup', coalesce(s.component, s.section), s."at", coalesce(s.display, s.action)
FROM main.setup_changes s, span
WHERE s."at" BETWEEN span.first_at - INTERVAL 1 HOUR AND span.first_at
ORDER BY "at" DESC
LIMIT 50;
