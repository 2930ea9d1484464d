-- Who did what was found by comparing and is not known yet, by lines of the audit trail that have come with this batch:
-- a line may be read after the row that it tells of. The line names the row, or what it hung below.
UPDATE store.setup_changes AS c
SET user_id = n.line.user_id, "at" = n.line."at"
FROM (
    WITH
    lines AS (
        SELECT user_id, "at", display, seq
        FROM store.setup_changes
        WHERE source = 'audit trail' AND seq IN (SELECT seq FROM batch_changes WHERE entity = 'SetupAuditTrail')
    ),
    nameless AS (
        SELECT
            s.seq, s."at", action, coalesce(try_cast(regexp_extract(c.scan_id, '-(\d+)-\d+$', 1) AS BIGINT), 0) AS since,
            regexp_extract(component, '^[^:]*:(.*)$', 1) AS full_name,
            CASE WHEN contains(full_name, '.') THEN split_part(split_part(full_name, '.', 1), '/', 1) END AS parent,
            CASE WHEN parent IS NULL THEN full_name ELSE substr(full_name, strpos(full_name, '.') + 1) END AS name
        FROM store.setup_changes s
        LEFT JOIN store.changes c ON c.seq = s.seq
        WHERE s.source = 'compared' AND s.user_id IS NULL
          AND s."at" >= (SELECT min("at") FROM lines) - INTERVAL 5 SECONDS
          AND s."at" <= (SELECT max("at") FROM lines) + INTERVAL 1 HOUR
    )
    SELECT
        u.seq, u."at",
        -- The first one: so it is the same however lines come in batches.
        arg_min({'user_id': l.user_id, 'at': l."at"}, l.seq) AS line
    FROM nameless u
    JOIN lines l
        ON l.seq > u.seq AND epoch_ms(l."at") >= u.since - 5000
        AND l."at" BETWEEN u."at" - INTERVAL 1 HOUR AND u."at" + INTERVAL 5 SECONDS
        AND contains(l.display, coalesce(u.parent, u.name))
        AND (contains(l.display, u.name) 
            OR (u.action = 'deleted' AND u.parent IS NOT NULL AND regexp_matches(l.display, '(?i)delet|remov')))
    GROUP BY u.seq, u."at"
) n
WHERE c.seq = n.seq AND c.source = 'compared' AND c.user_id IS NULL;
