-- The rule itself, in long form: one row for each field that anything said of a record up to a moment, and
-- one row with field NULL for a record of which nothing named a field. `passed_to` is the stream's. See items.sql for the arguments.
--
-- A field has the value of the last item in fold order that names it, unless something after that item made
-- it unknown (`break_key`): a change without values, an overflow, a stretch that hides changes, or an item
-- that carries the whole record (`fills`) and not this field. A full state that may already hold a later
-- change of the field is passed over: what was said before it still stands.
-- `value_since` is the time from which the field has been known without a break.
-- arg_max skips NULL and would return the value before it: values travel inside a struct.
CREATE OR REPLACE MACRO answer.exact(e, lo, hi, t, c) AS TABLE
WITH
items AS MATERIALIZED (FROM answer.items(e, lo, hi, t, c)),
entity_break AS (
    SELECT
        max(key) AS fields_key,
        max(key) FILTER (status IS NOT NULL) AS status_key,
        max(since) FILTER (role = 'stream') AS passed_to
    FROM items
    WHERE role IN ('everyone', 'stream')
),
records AS (
    SELECT
        record_id,
        arg_max({'status': status, 'key': key}, key) FILTER (status IS NOT NULL AND role <> 'unsettled') AS status,
        min(since) FILTER (status IS NOT NULL AND role <> 'unsettled') AS status_since,
        max(key) FILTER (breaks) AS break_key,
        list(key) FILTER (fills AND role <> 'unsettled') AS fill_keys,
        arg_max(seq, key) FILTER (role IN ('event', 'state', 'inferred')) AS last_seq,
        min(modified_at) FILTER (role = 'inferred') AS inferred_since,
        min(window_to) FILTER (role = 'unsettled') AS settles_at
    FROM items
    WHERE record_id IS NOT NULL
    GROUP BY record_id
),
-- The first change after the moment that names a field, where a full state's read may have reached it.
reached AS (
    SELECT max(window_to) AS upto FROM items WHERE role IN ('state', 'inferred') AND says_fields
),
later_names AS (
    SELECT record_id, name, min(effective_at) AS named_at
    FROM (
        SELECT record_id, field AS name, effective_at
        FROM store.fields
        WHERE entity = e AND (lo IS NULL OR record_id BETWEEN lo AND hi) /* of these */ AND fold_rank = 0 AND kind = 'UPDATE'
          AND NOT (effective_at <= t AND seq < c) AND effective_at <= (SELECT upto FROM reached)
        UNION ALL
        SELECT record_id, unnest(changed_fields), effective_at
        FROM store.changes
        WHERE entity = e AND (lo IS NULL OR record_id BETWEEN lo AND hi) /* of these */ AND fold_rank = 0 AND kind = 'UPDATE'
          AND NOT (effective_at <= t AND seq < c) AND effective_at <= (SELECT upto FROM reached)
    )
    GROUP BY record_id, name
),
said AS NOT MATERIALIZED (
    SELECT
        f.record_id, f.field, f.value, f.known, f.seq, i.key, i.since, i.fills,
        i.window_to IS NOT NULL AND coalesce(least(n.named_at, whole.named_at) <= i.window_to, false) AS is_masked
    FROM (FROM store.fields WHERE entity = e AND (lo IS NULL OR record_id BETWEEN lo AND hi) /* of these */) f
    JOIN items i ON i.seq = f.seq AND i.record_id = f.record_id
    LEFT JOIN later_names n ON n.record_id = f.record_id AND n.name = f.field
    LEFT JOIN later_names whole ON whole.record_id = f.record_id AND whole.name = split_part(f.field, '.', 1)
    WHERE i.says_fields AND i.role <> 'unsettled'
),
last_said AS (
    SELECT
        record_id, field,
        arg_max({'value': value, 'known': known, 'seq': seq}, key) FILTER (NOT is_masked) AS said,
        max(key) FILTER (NOT is_masked) AS key,
        max(key) FILTER (NOT is_masked AND NOT known) AS unknown_key,
        min(key) FILTER (NOT is_masked AND known) AS first_key,
        min(since) FILTER (NOT is_masked AND known) AS first_since,
        list(key) FILTER (fills) AS fill_keys
    FROM said
    GROUP BY record_id, field
),
judged AS (
    SELECT
        record_id, l.field, l.said, l.first_since,
        greatest(
            rec.break_key, entity_break.fields_key, l.unknown_key,
            CASE WHEN coalesce(len(rec.fill_keys), 0) > coalesce(len(l.fill_keys), 0) THEN list_max(list_filter(
                rec.fill_keys, lambda k: NOT list_contains(coalesce(l.fill_keys, []), k)
            )) END
        ) AS broken_key,
        coalesce(l.said.known AND coalesce(l.key > broken_key, true), false) AS is_known,
        coalesce(l.first_key < broken_key, false) AS is_rebuilt
    FROM last_said l
    JOIN records rec USING (record_id)
    CROSS JOIN entity_break
),
rebuilt AS (
    SELECT record_id, field, min(s.since) AS since
    FROM (FROM judged WHERE is_known AND is_rebuilt) j
    JOIN said s USING (record_id, field)
    WHERE NOT s.is_masked AND s.known AND s.key > j.broken_key
    GROUP BY record_id, field
)
SELECT
    rec.record_id AS record_id,
    j.field AS field,
    CASE WHEN j.is_known THEN j.said.value END AS value,
    coalesce(j.is_known, false) AS is_known,
    j.said.seq AS seq,
    coalesce(rebuilt.since, j.first_since) AS value_since,
    CASE WHEN rec.status IS NULL OR rec.status.key < entity_break.status_key THEN 'unknown' ELSE rec.status.status END
        AS status,
    rec.status_since AS status_since,
    coalesce(list_max(rec.fill_keys) > greatest(rec.break_key, entity_break.fields_key, 0), false) AS is_whole,
    rec.last_seq AS last_seq,
    rec.inferred_since AS inferred_since,
    rec.settles_at AS settles_at,
    entity_break.passed_to AS passed_to
FROM records rec
CROSS JOIN entity_break
LEFT JOIN judged j ON j.record_id = rec.record_id
LEFT JOIN rebuilt ON rebuilt.record_id = j.record_id AND rebuilt.field = j.field;
