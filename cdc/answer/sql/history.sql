-- One record's changes in the order they fold, up to a moment (see items.sql for t and c), each with its
-- fields before and after. Overflows and wildcard ids of the entity are among them: they concern the record.
--
-- `before` is what was known exactly before that change: the last item before it that names the field,
-- unless something between made it unknown. A full state that may already hold the change itself is passed
-- over. Before its creation every field of a record is null, since there was no record.
-- `counts` is false for a full state that says nothing: not settled, or read inside a hole.
CREATE OR REPLACE MACRO answer.history(e, r, t, c) AS TABLE
WITH
items AS MATERIALIZED (FROM answer.items(e, r, r, 'infinity'::TIMESTAMP, answer.no_cut())),
breaks AS (SELECT DISTINCT key FROM items WHERE breaks),
recorded AS (
    FROM store.changes WHERE entity = e AND record_id = r
    UNION ALL
    FROM store.broad_changes WHERE entity = e AND record_id <> r
),
changes AS (
    SELECT
        s.*,
        coalesce(i.key, answer.fold_key(s.fold_seq, s.fold_rank + CASE WHEN s.fold_rank > 0 THEN 1 ELSE 0 END, s.seq))
            AS key,
        i.window_to,
        coalesce(i.role <> 'unsettled', s.fold_rank = 0) AS counts
    FROM recorded s
    LEFT JOIN items i ON i.seq = s.seq AND i.record_id = s.record_id AND (i.kind = 'ABSENT') = (s.kind = 'ABSENT')
),
said AS (
    SELECT f.field, f.value, f.known, ch.key, ch.counts, ch.window_to, ch.kind, ch.seq, ch.effective_at,
        ch.fold_rank
    FROM store.fields f
    JOIN changes ch ON ch.seq = f.seq AND ch.record_id = f.record_id AND ch.fold_rank < 2
    WHERE f.entity = e AND f.record_id = r
),
-- The value an event gave before, found by position.
after_event AS (
    SELECT *, last_value(CASE WHEN fold_rank = 0 THEN {'value': value, 'known': known, 'key': key} END IGNORE NULLS)
        OVER (PARTITION BY field ORDER BY key ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS event
    FROM said
),
-- The value a full state gave before, where its read was surely over before the change.
after_state AS (
    SELECT s.seq, s.field, arg_max({'value': f.value, 'known': f.known, 'key': f.key}, f.key) AS state
    FROM said s
    JOIN said f ON f.field = s.field AND f.key < s.key
    WHERE f.fold_rank = 1 AND f.counts AND (s.fold_rank > 0 OR s.effective_at > f.window_to)
    GROUP BY s.seq, s.field
),
-- Items that carry the whole record, and not this field.
silent AS (
    SELECT names.field, i.key
    FROM items i CROSS JOIN (SELECT DISTINCT field FROM said) names
    ANTI JOIN said ON said.key = i.key AND said.field = names.field
    WHERE i.fills AND i.role <> 'unsettled'
),
prior AS (
    SELECT
        a.*,
        CASE WHEN coalesce(s.state.key > a.event.key, a.event IS NULL) THEN s.state ELSE a.event END AS before
    FROM after_event a LEFT JOIN after_state s ON s.seq = a.seq AND s.field = a.field
),
judged AS (
    SELECT
        p.seq, p.field, p.value, p.known,
        CASE
            WHEN p.kind = 'CREATE' THEN true
            ELSE coalesce(p.before.known AND p.before.key > greatest(b.key, q.key, 0), false)
        END AS before_known,
        CASE WHEN p.kind <> 'CREATE' AND before_known THEN p.before.value END AS before
    FROM prior p
    ASOF LEFT JOIN breaks b ON p.key > b.key
    ASOF LEFT JOIN silent q ON q.field = p.field AND p.key > q.key
),
grouped AS (
    SELECT
        seq,
        list({'field': field, 'before': before, 'before_known': before_known, 'after': value, 'after_known': known}
            ORDER BY field) AS fields
    FROM judged
    GROUP BY seq
)
SELECT
    ch.seq AS seq, ch.record_id AS record_id, ch.kind AS kind, ch.committed_at AS committed_at,
    ch.effective_at AS effective_at, ch.source AS source, ch.user_id AS user_id, ch.origin AS origin,
    ch.client AS client, ch.transaction_key AS transaction_key, ch.counts AS counts,
    coalesce(g.fields, []) AS fields, ch.key AS place
FROM changes ch
LEFT JOIN grouped g ON g.seq = ch.seq AND ch.fold_rank < 2
WHERE ch.effective_at <= t AND ch.fold_seq < c;
