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
            seq, "at", action, regexp_extract(component, '^[^:]*:(.*)$', 1) AS full_name,
            CASE WHEN contains(full_name, '.') THEN split_part(split_part(full_name, '.', 1), '/', 1) END AS parent,
            CASE WHEN parent IS NULL THEN full_name ELSE substr(full_name, strpos(full_name, '.') + 1) END AS name
        FROM store.setup_changes
        WHERE source = 'compared' AND user_id IS NULL
          AND "at" >= (SELECT min("at") FROM lines) - INTERVAL 5 SECONDS
          AND "at" <= (SELECT max("at") FROM lines) + INTERVAL 1 HOUR
    )
    SELECT
        u.seq, u."at",
        arg_max({'user_id': l.user_id, 'at': l."at"}, (contains(l.display, u.name), l."at", l.seq)) AS line
    FROM nameless u
    JOIN lines l
        ON l."at" BETWEEN u."at" - INTERVAL 1 HOUR AND u."at" + INTERVAL 5 SECONDS
        AND contains(l.display, coalesce(u.parent, u.name))
        AND (contains(l.display, u.name) OR (u.action = 'deleted' AND u.parent IS NOT NULL))
    GROUP BY u.seq, u."at"
) n
WHERE c.seq = n.seq AND c.source = 'compared' AND c.user_id IS NULL;
