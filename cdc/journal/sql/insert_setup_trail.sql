-- Lines of the org's audit trail among a batch's changes; one that was held before is no news. $org is the alias.
INSERT INTO store.setup_changes
WITH
mine AS (
    SELECT seq, record_id, user_id, effective_at
    FROM batch_changes
    WHERE source = 'setup' AND entity = 'SetupAuditTrail' AND kind <> 'DELETE'
),
held AS (
    SELECT DISTINCT c.record_id
    FROM main.changes c
    WHERE c.entity = 'SetupAuditTrail' AND c.seq < (SELECT min(seq) FROM mine)
      AND c.record_id IN (SELECT record_id FROM mine)
),
said AS (
    SELECT
        seq,
        max(value) FILTER (field = 'Section') AS section,
        max(value) FILTER (field = 'Action') AS action,
        max(value) FILTER (field = 'Display') AS display
    FROM batch_fields
    WHERE entity = 'SetupAuditTrail'
    GROUP BY seq
)
SELECT m.seq, $org, m.effective_at, m.user_id, s.section, s.action, s.display, NULL, 'audit trail'
FROM mine m
JOIN said s USING (seq)
ANTI JOIN held h ON h.record_id = m.record_id
ORDER BY m.seq;
