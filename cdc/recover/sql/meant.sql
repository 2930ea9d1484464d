-- The changes a scope means. `clauses` has a row a filter (cdc/recover/scope.py): empty lists and NULLs ask for
-- nothing. Changes of the event bus only: a full state is a reading, nobody's doing.
-- A field is touched by its own name, by that of the compound it is a part of, or by one of its parts.
CREATE OR REPLACE TEMP TABLE meant AS
WITH
events AS (
    SELECT
        seq, entity, record_id, kind::VARCHAR AS kind, committed_at, user_id, coalesce(origin, '') AS origin,
        coalesce(client, '') AS client, transaction_key, changed_fields, nulled_fields
    FROM main.changes
    WHERE kind IN ('CREATE', 'UPDATE', 'DELETE', 'UNDELETE') AND source IN ('pubsub', 'cometd')
      AND seq <= coalesce($last_seq::BIGINT, answer.no_cut())
      AND seq >= (
          SELECT coalesce(CASE WHEN count(*) = count(first_seq) THEN min(first_seq) END, 0)
          FROM clauses WHERE part = 'include'
      )
      AND committed_at >= (
          SELECT make_timestamp(coalesce(CASE WHEN count(*) = count(from_at) THEN min(from_at) END, 0) * 1000)
          FROM clauses WHERE part = 'include'
      )
),
matching AS (
    SELECT e.seq, e.record_id, k.part, k.number
    FROM events e
    JOIN clauses k ON
        (k.from_at IS NULL OR epoch_ms(e.committed_at) >= k.from_at)
        AND (k.to_at IS NULL OR epoch_ms(e.committed_at) <= k.to_at)
        AND (k.first_seq IS NULL OR e.seq >= k.first_seq)
        AND (k.last_seq IS NULL OR e.seq <= k.last_seq)
        AND (len(k.users) = 0 OR list_contains(k.users, e.user_id))
        AND (len(k.origins) = 0 OR list_contains(k.origins, e.origin))
        AND (len(k.clients) = 0 OR list_contains(k.clients, e.client))
        AND (len(k.transactions) = 0 OR list_contains(k.transactions, e.transaction_key))
        AND (len(k.entities) = 0 OR list_contains(k.entities, e.entity))
        AND (len(k.kinds) = 0 OR list_contains(k.kinds, e.kind))
        AND (len(k.records) = 0 OR list_contains(k.records, e.record_id))
        AND (len(k.touching) = 0 OR (e.kind = 'UPDATE' AND (
            list_has_any(k.touching, e.changed_fields)
            OR len(list_filter(e.changed_fields, lambda f: list_contains(k.touching, split_part(f, '.', 1)))) > 0
        )))
),
-- Filters that ask for a value: the field has to be named with it.
valued AS (
    SELECT DISTINCT m.seq, m.record_id, m.part, m.number
    FROM matching m
    JOIN clauses k ON k.part = m.part AND k.number = m.number AND (len(k.values) > 0 OR k.or_null)
    JOIN main.field_changes f ON f.seq = m.seq AND f.record_id = m.record_id
    WHERE f.known AND list_contains(k.touching, f.field)
      AND (list_contains(k.values, f.value) OR (f.value IS NULL AND k.or_null))
),
matched AS (
    SELECT m.seq, m.record_id, m.part, m.number
    FROM matching m
    JOIN clauses k ON k.part = m.part AND k.number = m.number AND len(k.values) = 0 AND NOT k.or_null
    UNION ALL
    FROM valued
),
judged AS (
    SELECT seq, record_id
    FROM matched
    GROUP BY seq, record_id
    HAVING bool_or(part = 'include') AND NOT bool_or(part = 'without')
       AND count(DISTINCT number) FILTER (part = 'within') = $within::BIGINT
)
SELECT e.* FROM events e SEMI JOIN judged j ON j.seq = e.seq AND j.record_id = e.record_id;
