-- Changes of the set-up between two times, each with the values of its row then (none of a line of the audit trail).
SELECT s.seq, s."at", s.user_id, s.section, s.action, s.display, s.component, s.source, f.fields
FROM main.setup_changes s
LEFT JOIN (
    SELECT seq, map(list(field), list(value)) AS fields
    FROM main.field_changes
    WHERE seq IN (SELECT seq FROM main.setup_changes WHERE "at" BETWEEN $since::TIMESTAMP AND $until::TIMESTAMP)
    GROUP BY seq
) f ON f.seq = s.seq
WHERE s."at" BETWEEN $since::TIMESTAMP AND $until::TIMESTAMP
ORDER BY s."at" DESC, s.seq DESC
LIMIT 2000;
